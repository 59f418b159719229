"""The configuration of a training and the split by subject."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hilum.core.errors import InputError, UsageError
from hilum.datasets.sockets import check_socket_paths
from hilum.datasets.split import split_subjects
from hilum.training.config import TrainConfig, load_config, to_toml


def test_a_saved_configuration_is_read_back_as_it_was(tmp_path: Path) -> None:
    config = load_config(None, {"model": "unet", "fold": "2/5"}, ["augment.noise=0.5", "size=[128, 64]"])
    file = tmp_path / "config.toml"
    file.write_text(to_toml(config), "utf-8")
    assert load_config(file) == config
    assert config.augment.noise == 0.5
    assert config.slices.size == (128, 64)


def test_arguments_win_over_settings_and_settings_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('model = "fcnn"\nseed = 1\nbatch = 2\nsteps = 3\n', "utf-8")
    config = load_config(file, {"seed": 9, "model": None}, ["seed=5", "batch=4"])
    assert (config.model.value, config.seed, config.batch, config.steps) == ("fcnn", 9, 4, 3)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("lerning_rate=1", "no key 'lerning_rate'. Did you mean learning_rate?"),
        ("augment.nose=1", "no key 'augment.nose'. Did you mean noise?"),
        ("size=[100, 100]", "multiples of 32"),
        ("batch=many", "batch is 'many'"),
        ("fold=6/5", "k from 1 to n"),
        ("hu_window=[400, -1024]", "rising"),
        ("networks.fcnn_patch=4", "odd"),
        ("augment.zoom=[2, 1]", "rising"),
        ("seed", "not a setting"),
        ("seed.x=1", "seed"),
        ("model=transformer", "'fcnn', 'unet', 'resnet' or 'volume'"),
    ],
)
def test_a_wrong_choice_is_one_sentence(setting: str, words: str) -> None:
    arguments = {} if setting.startswith("model") else {"model": "unet"}
    with pytest.raises(UsageError) as caught:
        load_config(None, arguments, [setting])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_must_be_named() -> None:
    with pytest.raises(UsageError, match="No model"):
        load_config()


def test_a_file_that_is_not_toml(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("model unet", "utf-8")
    with pytest.raises(InputError, match="not valid TOML"):
        load_config(file)
    with pytest.raises(InputError, match="There is no configuration"):
        load_config(tmp_path / "absent.toml")


def test_configuration_cannot_be_changed() -> None:
    config = TrainConfig(model="unet")  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        config.seed = 3  # type: ignore[misc]


def test_the_parts_are_disjoint_and_complete() -> None:
    split = split_subjects(range(100), seed=3)
    assert [len(p) for p in (split.train, split.validation, split.test)] == [65, 15, 20]
    assert sorted([*split.train, *split.validation, *split.test]) == list(range(100))
    assert split == split_subjects([*range(99, -1, -1), 5, 5], seed=3)
    assert split != split_subjects(range(100), seed=4)


def test_folds_share_the_test_part_and_validate_each_subject_once() -> None:
    folds = [split_subjects(range(23), seed=1, fold=f"{k}/5") for k in range(1, 6)]
    assert len({fold.test for fold in folds}) == 1
    validated = [s for fold in folds for s in fold.validation]
    assert sorted([*validated, *folds[0].test]) == list(range(23))
    for fold in folds:
        assert not set(fold.train) & set(fold.validation)


@pytest.mark.parametrize(("subjects", "words"), [(1, "one subject"), (2, "2 subjects")])
def test_too_few_subjects(subjects: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        split_subjects(range(subjects), seed=0)


def test_too_few_subjects_for_folds() -> None:
    with pytest.raises(UsageError, match="5 folds"):
        split_subjects(range(5), seed=0, fold="1/5")


def test_three_subjects_are_enough() -> None:
    split = split_subjects([4, 7, 9], seed=0)
    assert [len(p) for p in (split.train, split.validation, split.test)] == [1, 1, 1]


@pytest.mark.skipif(os.name != "posix", reason="only Unix sockets have a limit")
def test_a_temporary_folder_too_deep_for_sockets_is_refused_before_a_training_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/tmp/" + "x" * 66)
    check_socket_paths()
    monkeypatch.setattr("tempfile.tempdir", "/tmp/" + "x" * 67)
    with pytest.raises(UsageError, match="temporary folder is too long"):
        check_socket_paths()
