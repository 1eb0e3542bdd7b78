"""What of a stored tensor 8 bits explain, on small made-up ones."""

from __future__ import annotations

import numpy as np

from edgeflow_converters.stored_weights import Stored, complaint


def tensor(step_of_small_channel: float, small: float = 1e-2) -> Stored:
    """Two channels, the second much smaller than the first, stored with this step."""
    exact = np.array([[1.0, -0.5, 0.25], [small, -0.2 * small, 0.5 * small]])
    step = np.array([[1.0 / 127], [step_of_small_channel]])
    return Stored("w", exact, np.round(exact / step) * step, step)


def test_a_small_channel_may_have_the_step_of_the_whole_tensor() -> None:
    """ONNX Runtime widens a channel's scale where its bias would not fit 32 bits otherwise."""
    assert complaint(tensor(1e-2 / 127)) == ""
    assert complaint(tensor(1.4 / 127)) == ""
    assert complaint(tensor(5.0, small=1e-5)) == ""  # whatever it holds is nothing beside the bias


def test_a_step_coarser_than_one_for_the_whole_tensor_is_found() -> None:
    assert "1 of the scales of w are too coarse" in complaint(tensor(3.0 / 127))


def test_a_number_that_rounding_does_not_explain_is_found() -> None:
    sound = tensor(1e-2 / 127)
    meant = sound.meant.copy()
    meant[0, 1] = 0.0
    wrong = Stored(sound.name, sound.exact, meant, sound.step)
    assert "1 of 6 numbers of w differ by more than rounding" in complaint(wrong)
