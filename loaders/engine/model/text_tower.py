"""The language model's forward pass over packed tokens, driven weight by weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from ..state.pool import PagePool
from .layers import Layer, collect, matrix_of
from .torch_ops import Rotary, TorchOps

# attend(layer, queries, keys, values) -> [T, heads * D]
Attend = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Deepstack:
    """Visual features added after the first layers: `features[i]` [n, C] at rows `places` [n]."""

    places: torch.Tensor
    features: list[torch.Tensor]


class TextModel:
    """References to one module's weights; make it anew after the module has moved."""

    def __init__(self, module: Any, ops: TorchOps):
        text = module.model.language_model
        self.ops = ops
        self.layers = collect(module)
        self.embedding = matrix_of(text.embed_tokens)
        self.head = matrix_of(module.lm_head)
        self.final_norm = text.norm.weight.detach()
        self.eps = float(text.config.rms_norm_eps)
        rotary = text.rotary_emb
        self.inv_freq = rotary.inv_freq.float()
        self.scaling = float(rotary.attention_scaling)
        self._axis = _axes(len(self.inv_freq), rotary.mrope_section).to(self.inv_freq.device)

    @property
    def dtype(self) -> torch.dtype:
        """Of weights that are not packed, and of activations."""
        return self.final_norm.dtype

    def rotary(self, positions: torch.Tensor) -> Rotary:
        """cos and sin [T, D / 2] for positions int64 [3, T], or [T] where the axes agree."""
        if positions.ndim == 2:
            # Contiguous, because kernels read the angles row by row.
            angles = positions.float().index_select(0, self._axis).T.contiguous() * self.inv_freq
        else:
            angles = positions.float()[:, None] * self.inv_freq
        cos, sin = angles.cos() * self.scaling, angles.sin() * self.scaling
        return cos.to(self.dtype), sin.to(self.dtype)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """[T] token ids to [T, C]."""
        if isinstance(self.embedding, torch.Tensor):
            return functional.embedding(ids, self.embedding)
        return self.embedding.rows(ids).dequantized(self.dtype)

    def run(
        self,
        hidden: torch.Tensor,
        rotary: Rotary,
        pool: PagePool,
        targets: torch.Tensor,
        attend: Attend,
        deepstack: Deepstack | None = None,
        tick: Callable[[], None] = lambda: None,
        wanted: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """All layers over `hidden` [T, C] (changed in place), before the final norm.

        Args:
            hidden: embedded tokens.
            rotary: their rotation.
            pool: where their keys and values go, at `targets` int64 [T].
            targets: places in the pool.
            attend: attention over pool and packed tokens.
            deepstack: visual features for the first layers.
            tick: called before each layer; what it raises passes through.
            wanted: the rows to be returned, int64 [n]; all of them by default. Of the others
                only keys and values are computed in the last layer.
        """
        if hidden.shape[0] in self.ops.narrow_rows and deepstack is None and self._joined:
            hidden = self._run_narrow(hidden, rotary, pool, targets, attend)
            return hidden if wanted is None else hidden[wanted]
        delta = None
        for index, layer in enumerate(self.layers):
            tick()
            normed = self.ops.add_norm(delta, hidden, layer.input_norm, self.eps)
            qkv = self.ops.linear(normed, layer.qkv)
            keys, values = pool.keys[index], pool.values[index]
            heads = self.ops.rotate_and_store(qkv, layer, self.eps, rotary, keys, values, targets)
            mixed = attend(index, *heads)
            shown = deepstack is not None and index < len(deepstack.features)
            if wanted is not None and layer is self.layers[-1] and not shown:
                hidden, mixed, wanted = hidden[wanted], mixed[wanted], None
            delta = self.ops.linear(mixed, (layer.out,))
            normed = self.ops.add_norm(delta, hidden, layer.post_norm, self.eps)
            delta = self._mlp(layer, normed)
            if deepstack is not None and shown:
                delta.index_add_(0, deepstack.places, deepstack.features[index])
        hidden = hidden.add_(delta) if delta is not None else hidden
        return hidden if wanted is None else hidden[wanted]

    @property
    def _joined(self) -> bool:
        """Whether every layer is dense, and its matrices plain and joined, as the narrow way
        needs.
        """
        return all(
            len(layer.qkv) == len(layer.gate_up) == 1
            and all(
                isinstance(matrix, torch.Tensor)
                for matrix in (*layer.qkv, layer.out, *layer.gate_up, layer.down)
            )
            for layer in self.layers
        )

    def _mlp(self, layer: Layer, normed: torch.Tensor) -> torch.Tensor:
        if layer.experts is not None:
            return self.ops.mixed_experts(normed, layer.experts)
        return self.ops.mlp(normed, layer.gate_up, layer.down)  # type: ignore[arg-type] - dense

    def _run_narrow(
        self,
        hidden: torch.Tensor,
        rotary: Rotary,
        pool: PagePool,
        targets: torch.Tensor,
        attend: Attend,
    ) -> torch.Tensor:
        """A few rows: norms, gate and sums are done inside of the matrix-vector products."""
        ops: Any = self.ops
        for index, layer in enumerate(self.layers):
            qkv = ops.norm_linear(hidden, layer.input_norm, self.eps, layer.qkv[0])
            keys, values = pool.keys[index], pool.values[index]
            heads = ops.rotate_and_store(qkv, layer, self.eps, rotary, keys, values, targets)
            ops.linear_add(attend(index, *heads), layer.out, hidden)
            gated = ops.norm_gated(hidden, layer.post_norm, self.eps, layer.gate_up[0])
            ops.linear_add(gated, layer.down, hidden)
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """[T, C] before the final norm to [T, vocabulary]."""
        if hidden.shape[0] in self.ops.narrow_rows and isinstance(self.head, torch.Tensor):
            ops: Any = self.ops
            return ops.norm_linear(hidden, self.final_norm, self.eps, self.head)
        normed = self.ops.add_norm(None, hidden, self.final_norm, self.eps)
        return self.ops.linear(normed, (self.head,))


def _axes(count: int, section: list[int]) -> torch.Tensor:
    """Which axis (0 time, 1 row, 2 column) each of the `count` frequencies turns by."""
    axes = torch.zeros(count, dtype=torch.int64)
    for axis in (1, 2):
        axes[axis : section[axis] * 3 : 3] = axis
    return axes
