"""What labels posts, as the settings name it."""

from classify.batch import Classifier
from classify.settings import ClassifySettings
from models.loading import Model, Weights, load_model, weights_of


def load_classifier(settings: ClassifySettings) -> tuple[Classifier, Model]:
    """The classifier and its model. Blocks for a second or more; raises as `load_model` does."""
    model = load_model(settings.model, settings.models, settings.threads)
    return Classifier(model, settings.unsure_below), model


def chosen_weights(settings: ClassifySettings) -> Weights:
    """What `load_classifier` would load now. Raises as `weights_of` does."""
    return weights_of(settings.model, settings.models)
