"""What labels posts, as the settings name it."""

from classify.batch import Classifier
from classify.settings import ClassifySettings
from models.loading import Model, load_model


def load_classifier(settings: ClassifySettings) -> tuple[Classifier, Model]:
    """The classifier and its model. Blocks for a second or more; raises as `load_model` does."""
    model = load_model(settings.model, settings.models, settings.threads)
    return Classifier(model, settings.unsure_below), model
