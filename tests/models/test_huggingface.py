"""A sequence classifier of Hugging Face in place of the model that ships: a tiny one, made and saved here."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from models.choice import ModelChoice
from models.loading import load_model, model_faults
from models.store import ModelInvalid

TINY = Path(__file__).parent / "tiny-2"
HAS_PACKAGES = True
try:
    import torch
    import transformers
except ImportError:
    HAS_PACKAGES = False

needs_packages = pytest.mark.skipif(not HAS_PACKAGES, reason="needs the huggingface extra")

POSTS = ["my router is dead again", "when do you open?", "", "lovely crew 👏", "my router is dead again", "\ud83d"]
LABELS = {"LABEL_0": "complaint", "LABEL_1": "question", "LABEL_2": "other"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of three labels without names."""
    return save(tmp_path_factory.mktemp("bert"), ["LABEL_0", "LABEL_1", "LABEL_2"])


def save(folder: Path, labels: list[str], **config: Any) -> Path:
    """A random BERT of one layer, saved as the hub has them."""
    words = list(json.loads((TINY / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"])[:3000]
    vocabulary = dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    torch.manual_seed(4)
    shape = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.6,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        **{"max_position_embeddings": 64, **config},
    )
    transformers.BertForSequenceClassification(shape).save_pretrained(folder)
    return folder


def faults(choice: dict[str, Any] | str) -> list[str]:
    """What is wrong with it, a line each."""
    return [str(fault) for fault in model_faults(ModelChoice.model_validate(choice), TINY)]


@pytest.mark.skipif(HAS_PACKAGES, reason="the huggingface extra is installed")
def test_without_the_extra_the_mend_is_named() -> None:
    [told] = faults("hf:some/model")
    assert told.startswith("classify.model.hugging_face: needs torch")
    assert told.endswith("pip install 'plaint[huggingface]'")
    with pytest.raises(ModelInvalid, match="huggingface"):
        load_model(ModelChoice.model_validate("hf:some/model"), TINY)


@needs_packages
def test_it_says_what_posts_ask_and_the_shipped_model_the_rest(saved: Path) -> None:
    choice = ModelChoice.model_validate({"hugging_face": str(saved), "labels": LABELS, "languages": ["en", "de"]})
    assert model_faults(choice, TINY) == []
    model, shipped = load_model(choice, TINY, threads=1), load_model(None, TINY, threads=1)
    scores, others = model.score(POSTS), shipped.score(POSTS)
    for one, other in zip(scores, others, strict=True):
        assert math.isclose(sum(one.intents), 1, abs_tol=1e-5)
        assert one.intents[2] == one.intents[3] == 0.0  # no label of it means praise or marketing
        assert one.sentiments == pytest.approx(other.sentiments, abs=1e-5)
        assert (*one.urgencies, one.urgent) == pytest.approx((*other.urgencies, other.urgent), abs=1e-5)
    assert model.version == f"hf:{saved.name}"
    assert model.urgent_threshold == shipped.urgent_threshold
    assert "torch" in model.runs_on
    assert (model.computed, model.known) == (5, 1)


@needs_packages
def test_it_labels_as_transformers_itself_does(saved: Path) -> None:
    choice = ModelChoice.model_validate({"hugging_face": str(saved), "labels": LABELS, "languages": ["en"]})
    scores = load_model(choice, TINY, threads=1).score(POSTS[:4])
    tokenizer = transformers.AutoTokenizer.from_pretrained(saved)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(saved).eval()
    for text, one in zip(POSTS[:4], scores, strict=True):
        with torch.no_grad():
            expected = network(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0].tolist()
        assert [one.intents[0], one.intents[1], one.intents[4]] == pytest.approx(expected, abs=1e-5)


@needs_packages
def test_long_posts_are_cut_to_what_it_reads(saved: Path) -> None:
    choice = ModelChoice.model_validate({"hugging_face": str(saved), "labels": LABELS, "languages": ["en"]})
    assert len(load_model(choice, TINY, threads=1).score(["router dead again " * 500])) == 1


@needs_packages
def test_what_the_shipped_model_was_not_measured_in_is_not_measured(saved: Path) -> None:
    both = {"hugging_face": str(saved), "labels": LABELS, "languages": ["en", "de"]}
    assert load_model(ModelChoice.model_validate(both), TINY, threads=1).languages == ("en",)
    none = {"hugging_face": str(saved), "labels": LABELS}
    assert load_model(ModelChoice.model_validate(none), TINY, threads=1).languages == ()


@needs_packages
def test_models_of_its_kind_say_sentiment_and_urgency(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "mood").mkdir()
    mood = save(tmp_path / "mood", ["Positive", "Negative", "mixed"])
    (tmp_path / "haste").mkdir()
    haste = save(tmp_path / "haste", ["low", "high"])
    choice = ModelChoice.model_validate(
        {
            "hugging_face": str(saved),
            "labels": {"LABEL_0": "complaint", "LABEL_1": "complaint", "LABEL_2": "other"},
            "languages": ["de"],
            "sentiment": {"hugging_face": str(mood), "labels": {"mixed": "negative"}},
            "urgency": {"hugging_face": str(haste), "labels": {"low": 1, "high": 4}, "urgent_threshold": 0.3},
        }
    )
    assert model_faults(choice, TINY) == []
    model = load_model(choice, TINY, threads=1)
    assert model.version == f"hf:{saved.name}+hf:mood+hf:haste"
    assert (model.languages, model.urgent_threshold) == (("de",), 0.3)
    for one in model.score(POSTS):
        assert one.sentiments[1] == 0.0
        assert one.urgencies[0] == one.urgencies[2] == one.urgencies[3] == 0.0
        assert one.urgent == pytest.approx(one.intents[0] * one.urgencies[4])


@needs_packages
@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({}, ["classify.model.labels: LABEL_0, LABEL_1, LABEL_2 of {} have no meaning"]),
        ({"LABEL_0": "complaint", "LABEL_1": "other"}, ["classify.model.labels: LABEL_2 of {} has no meaning"]),
        ({**LABELS, "LABEL_3": "praise"}, ['classify.model.labels.LABEL_3: is no label of {}; did you mean "LABEL_']),
    ],
)
def test_each_label_needs_a_meaning(saved: Path, labels: dict[str, str], told: list[str]) -> None:
    found = faults({"hugging_face": str(saved), "labels": labels})
    assert len(found) == len(told)
    for line, begin in zip(found, told, strict=True):
        assert line.startswith(begin.format(saved))
    with pytest.raises(ModelInvalid):
        load_model(ModelChoice.model_validate({"hugging_face": str(saved), "labels": labels}), TINY)


@needs_packages
def test_labels_that_are_called_so_need_no_meaning(tmp_path: Path) -> None:
    folder = save(tmp_path, ["Complaint", "QUESTION", "praise", "marketing", "other"])
    assert faults(f"hf:{folder}") == []


@needs_packages
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"architectures": ["BertForMaskedLM"]}, "is no sequence classifier but BertForMaskedLM"),
        ({"problem_type": "multi_label_classification"}, "does not choose between its labels"),
        ({"id2label": {"0": "score"}, "label2id": {"score": 0}}, "does not choose between its labels"),
        ({"auto_map": {"AutoConfig": "own.Config"}, "model_type": "own"}, "can't be had"),
        ({"id2label": ["complaint", "other"]}, "is no configuration: Validation error for field 'id2label'"),
    ],
)
def test_what_is_no_classifier_of_one_label_is_refused(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    folder = save(tmp_path, ["complaint", "other"])
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    [found] = faults(f"hf:{folder}")
    assert told in found


@needs_packages
def test_a_network_without_its_head_is_not_served_with_a_random_one(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save(tmp_path, ["complaint", "other"])
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if "classifier" not in name}, folder / "model.safetensors"
    )
    with pytest.raises(ModelInvalid, match="lacks weights, such as classifier"):
        load_model(ModelChoice.model_validate(f"hf:{folder}"), TINY)


def refused(folder: Path) -> str:
    """Why it isn't loaded: one fault, at the setting that names it, with its mend."""
    with pytest.raises(ModelInvalid) as told:
        load_model(ModelChoice.model_validate(f"hf:{folder}"), TINY)
    [fault] = told.value.faults
    assert fault.place == "classify.model.hugging_face"
    assert fault.mend
    return fault.what


@needs_packages
@pytest.mark.parametrize("content", ["[]", '"bert"', "3"])
def test_a_configuration_that_is_no_object_is_told(tmp_path: Path, content: str) -> None:
    folder = save(tmp_path, ["complaint", "other"])
    (folder / "config.json").write_text(content)
    [found] = faults(f"hf:{folder}")
    assert found.startswith(f"classify.model.hugging_face: config.json of {folder} is no configuration: ")
    assert "is no configuration" in refused(folder)


@needs_packages
def test_weights_that_are_a_pointer_of_git_lfs_or_broken_off_are_told(tmp_path: Path) -> None:
    folder = save(tmp_path, ["complaint", "other"])
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for damaged in (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 1\n",
        whole[: len(whole) // 2],
        b"",
    ):
        weights.write_bytes(damaged)
        assert refused(folder).startswith(f"{folder} can't be loaded: ")


@needs_packages
def test_a_configuration_with_another_number_of_labels_than_the_head_is_told(tmp_path: Path) -> None:
    folder = save(tmp_path, ["complaint", "other", "praise"])
    config = folder / "config.json"
    labels = {"id2label": {"0": "complaint", "1": "other"}, "label2id": {"complaint": 0, "other": 1}}
    config.write_text(json.dumps({**json.loads(config.read_text()), **labels}))
    expected = f"the weights of {folder} don't fit its config.json: classifier.bias is [3], by it [2]"
    assert refused(folder) == expected


@needs_packages
def test_a_model_whose_tokenizer_was_left_behind_is_told(tmp_path: Path) -> None:
    folder = save(tmp_path, ["complaint", "other"])
    for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (folder / file).unlink(missing_ok=True)
    assert "has no tokenizer" in refused(folder)


@needs_packages
def test_what_would_fail_on_every_post_is_told_when_it_is_loaded(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    (tmp_path / "short").mkdir()
    short = save(tmp_path / "short", ["complaint", "other"], max_position_embeddings=2)
    assert "fails on a plain post" in refused(short)
    (tmp_path / "spoiled").mkdir()
    spoiled = save(tmp_path / "spoiled", ["complaint", "other"])
    weights = load_file(spoiled / "model.safetensors")
    weights["classifier.bias"][:] = math.nan
    save_file(weights, spoiled / "model.safetensors")
    assert refused(spoiled) == f"{spoiled} gives a plain post no probabilities"


@needs_packages
def test_a_model_that_names_no_limit_of_its_length_labels_posts(tmp_path: Path) -> None:
    folder = save(tmp_path, ["complaint", "other"])
    labels = {"id2label": {0: "complaint", 1: "other"}, "label2id": {"complaint": 0, "other": 1}}
    shape = transformers.XLNetConfig(vocab_size=3005, d_model=16, n_layer=1, n_head=2, d_inner=16, **labels)
    assert shape.max_position_embeddings == -1
    transformers.XLNetForSequenceClassification(shape).save_pretrained(folder)
    model = load_model(ModelChoice.model_validate(f"hf:{folder}"), TINY, threads=1)
    assert len(model.score(POSTS)) == len(POSTS)


@needs_packages
def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    [found] = faults(f"hf:{tmp_path / 'empty'}")
    assert found.startswith(f"classify.model.hugging_face: {tmp_path / 'empty'} can't be had")
