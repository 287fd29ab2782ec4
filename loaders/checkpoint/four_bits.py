"""4-bit weights of other tools, as far as the fast engine keeps them as they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AWQ, GPTQ, COMPRESSED, BITSANDBYTES = "awq", "gptq", "compressed-tensors", "bitsandbytes"
# What a packed layer has in place of its weight, by the tool.
PACKED_LEAVES = {
    AWQ: "qweight",
    GPTQ: "qweight",
    COMPRESSED: "weight_packed",
    BITSANDBYTES: "weight.quant_state.bitsandbytes__nf4",
}
NF4_BLOCK = 64  # weights to a scale in bitsandbytes' NF4, whatever the length of a row
GROUPS = (16, 32, 64, 128, 256, 512)


@dataclass(frozen=True, slots=True)
class FourBits:
    """Who packed it, inputs in a group, and whether a code for zero is stored less one."""

    tool: str
    group: int = 0
    zeros_from_one: bool = False

    @property
    def mark(self) -> str:
        """The last part of the name of a tensor that every packed layer has."""
        return PACKED_LEAVES[self.tool]


def read_four_bits(said: Mapping[str, Any]) -> FourBits | None:
    """What a config's quantization_config says; None for forms that only their tools can read."""
    read = _READERS.get(str(said.get("quant_method")))
    return read(said) if read else None


def _awq(said: Mapping[str, Any]) -> FourBits | None:
    version = str(said.get("version", said.get("format", "gemm"))).lower()
    plain = said.get("bits", 4) == 4 and version == "gemm" and said.get("zero_point", True) is True
    group = said.get("group_size", said.get("q_group_size", 128))
    return FourBits(AWQ, group) if plain and group in GROUPS else None


def _gptq(said: Mapping[str, Any]) -> FourBits | None:
    form = said.get("checkpoint_format") or "gptq"
    plain = said.get("bits") == 4 and not said.get("desc_act") and form in ("gptq", "gptq_v2")
    group = said.get("group_size")
    return FourBits(GPTQ, group, form == "gptq") if plain and group in GROUPS else None


def _compressed(said: Mapping[str, Any]) -> FourBits | None:
    groups = said.get("config_groups")
    if said.get("format") != "pack-quantized" or not isinstance(groups, Mapping):
        return None
    if len(groups) != 1 or not isinstance(group := next(iter(groups.values())), Mapping):
        return None
    weights = group.get("weights")
    if not isinstance(weights, Mapping) or group.get("input_activations"):
        return None
    plain = weights.get("num_bits") == 4 and weights.get("type", "int") == "int"
    plain = plain and not weights.get("actorder")
    size = weights.get("group_size")
    return FourBits(COMPRESSED, size) if plain and size in GROUPS else None


def _nf4(said: Mapping[str, Any]) -> FourBits | None:
    four = said.get("load_in_4bit") or said.get("_load_in_4bit")
    plain = bool(four) and said.get("bnb_4bit_quant_type") == "nf4"
    plain = plain and said.get("bnb_4bit_quant_storage", "uint8") == "uint8"
    return FourBits(BITSANDBYTES) if plain else None


_READERS = {AWQ: _awq, GPTQ: _gptq, COMPRESSED: _compressed, BITSANDBYTES: _nf4}
