"""The choice of device and precision, as a pure function of what a machine can do."""

from __future__ import annotations

import pytest

from models.devices import Capabilities, Placement, capabilities, choose
from models.errors import DeviceError

OLD_CPU = Capabilities(cuda=False, cuda_bf16=False, cpu_bf16=False)
NEW_CPU = Capabilities(cuda=False, cuda_bf16=False, cpu_bf16=True)
OLD_GPU = Capabilities(cuda=True, cuda_bf16=False, cpu_bf16=True)
NEW_GPU = Capabilities(cuda=True, cuda_bf16=True, cpu_bf16=False)


@pytest.mark.parametrize(
    ("asked", "machine", "placement"),
    [
        (("auto", "auto"), OLD_CPU, ("cpu", "fp32")),
        (("auto", "auto"), NEW_CPU, ("cpu", "bf16")),
        (("auto", "auto"), OLD_GPU, ("cuda", "fp32")),
        (("auto", "auto"), NEW_GPU, ("cuda", "bf16")),
        (("cpu", "auto"), NEW_GPU, ("cpu", "fp32")),
        (("cpu", "bf16"), OLD_CPU, ("cpu", "bf16")),
        (("cuda", "fp32"), NEW_GPU, ("cuda", "fp32")),
    ],
)
def test_choice(asked, machine, placement) -> None:
    assert choose(*asked, machine) == Placement(*placement)


@pytest.mark.parametrize(
    ("asked", "machine", "setting"),
    [
        (("cuda", "auto"), NEW_CPU, r"enrich\.device"),
        (("cuda", "bf16"), OLD_GPU, r"enrich\.precision"),
        (("tpu", "auto"), NEW_CPU, r"enrich\.device"),
        (("cpu", "int8"), NEW_CPU, r"enrich\.precision"),
    ],
)
def test_refusals_name_the_setting(asked, machine, setting) -> None:
    with pytest.raises(DeviceError, match=setting):
        choose(*asked, machine)


def test_this_machine_can_be_asked() -> None:
    assert choose("cpu", "auto", capabilities()).device == "cpu"
