"""Recurrent modules of every kind, what they are called with, and a loop in double precision beside them."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

KINDS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
LENGTHS = [11, 3, 7, 5, 1]
T, B, D, H = max(LENGTHS), len(LENGTHS), 4, 6


@dataclass(frozen=True)
class Case:
    """How a module is made and called."""

    kind: str
    layers: int = 1
    bidirectional: bool = False
    batch_first: bool = False
    form: str = "padded"  # or "packed", "unbatched"
    initial: bool = False
    dropout: float = 0.0
    more: tuple = ()

    def module(self, dtype=torch.float32, seed=0):
        torch.manual_seed(seed)
        sizes = {"bidirectional": self.bidirectional, "batch_first": self.batch_first, "dropout": self.dropout}
        return KINDS[self.kind](D, H, self.layers, **sizes, **dict(self.more)).to(dtype)

    @property
    def lengths(self):
        return {"packed": LENGTHS, "padded": [T] * B, "unbatched": [T]}[self.form]

    def inputs(self, module, seed=1):
        """(x as the module takes it, x (T, B, D), initial states (layers * directions, B, H) or None)."""
        torch.manual_seed(seed)
        n, dtype = len(self.lengths), next(module.parameters()).dtype
        x = torch.randn(T, n, D, dtype=dtype)
        own = x.transpose(0, 1) if self.batch_first else x
        if self.form == "packed":
            own = pack_padded_sequence(own, self.lengths, self.batch_first, enforce_sorted=False)
        rows = self.layers * (1 + self.bidirectional)
        widths = [module.proj_size or H] + [H] * (self.kind == "LSTM")
        states = tuple(torch.randn(rows, n, w, dtype=dtype) for w in widths) if self.initial else None
        return own[:, 0] if self.form == "unbatched" else own, x, states

    def call(self, module, own, states):
        """(output (T, B, F), last states)."""
        if states is not None and self.form == "unbatched":
            states = tuple(s[:, 0] for s in states)
        hx = states if states is None or self.kind == "LSTM" else states[0]
        y, final = module(own, hx)
        final = final if isinstance(final, tuple) else (final,)
        if self.form == "packed":
            return pad_packed_sequence(y)[0], final
        if self.form == "unbatched":
            return y[:, None], tuple(f[:, None] for f in final)
        return y.transpose(0, 1) if self.batch_first else y, final

    def drawn(self, module, like):
        """The masks of dropout between layers, as the module draws them."""
        shape = (sum(self.lengths),) if self.form == "packed" else (T, len(self.lengths))
        width = (1 + self.bidirectional) * (module.proj_size or H)
        ones = torch.ones(*shape, width, dtype=like.dtype)
        masks = [nn.functional.dropout(ones, self.dropout) for _ in range(self.layers - 1)]
        if self.form == "packed":
            packed = pack_padded_sequence(like, self.lengths, enforce_sorted=False)
            masks = [pad_packed_sequence(packed._replace(data=mask))[0] for mask in masks]
        return masks


CASES = [
    *(Case(kind) for kind in KINDS),
    Case("RNN", more=(("nonlinearity", "relu"),), batch_first=True, initial=True),
    Case("RNN", 3, form="packed", dropout=0.4, initial=True),
    Case("LSTM", more=(("bias", False),), form="unbatched", initial=True),
    Case("LSTM", 2, bidirectional=True, batch_first=True, dropout=0.3),
    Case("LSTM", 2, bidirectional=True, form="packed", initial=True),
    Case("LSTM", 2, bidirectional=True, form="packed", dropout=0.2, more=(("proj_size", 3),)),
    Case("GRU", 2, form="unbatched"),
    Case("GRU", 3, bidirectional=True, batch_first=True, form="packed", dropout=0.4, initial=True),
]
NAMES = [
    "-".join(map(str, (c.kind, c.layers, "both" if c.bidirectional else "one", c.form, c.dropout, *dict(c.more))))
    for c in CASES
]


def step(module, number, x, state):
    """One step of a layer by PyTorch's equations: (output, new state)."""
    w = {name[: -len(number) - 2]: p for name, p in module.named_parameters() if name.endswith(f"_l{number}")}
    h, zero = state[0], torch.zeros((), dtype=x.dtype)
    a = x @ w["weight_ih"].T + w.get("bias_ih", zero)
    b = h @ w["weight_hh"].T + w.get("bias_hh", zero)
    if isinstance(module, nn.RNN):
        new = torch.relu(a + b) if module.nonlinearity == "relu" else torch.tanh(a + b)
        return new, (new,)
    if isinstance(module, nn.GRU):
        (r, z, n), (p, q, m) = a.chunk(3, -1), b.chunk(3, -1)
        r, z = torch.sigmoid(r + p), torch.sigmoid(z + q)
        new = (1 - z) * torch.tanh(n + r * m) + z * h
        return new, (new,)
    i, f, g, o = (a + b).chunk(4, -1)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    new = torch.sigmoid(o) * torch.tanh(c)
    new = new @ w["weight_hr"].T if "weight_hr" in w else new
    return new, (new, c)


def loop(case, module, x, states, masks):
    """(output (T, B, F), last states, {"0_reverse": [h at each place of the sequence]}); each h keeps its gradient."""
    lengths, kept, ends = torch.tensor(case.lengths), {}, []
    directions = ("", "_reverse")[: 1 + case.bidirectional]
    for layer in range(case.layers):
        outputs = []
        for n, end in enumerate(directions):
            number, row = f"{layer}{end}", layer * len(directions) + n
            state, found = first_state(case, module, x, states, row), [None] * T
            for t in reversed(range(T)) if end else range(T):
                inside = (t < lengths)[:, None]
                _, new = step(module, number, x[t], state)
                state = tuple(torch.where(inside, a, b) for a, b in zip(new, state, strict=True))
                state[0].retain_grad()
                found[t] = state[0]
            kept[number] = found
            ends.append(state)
            outputs.append(torch.stack(found) * (torch.arange(T)[:, None] < lengths)[..., None])
        x = torch.cat(outputs, -1)
        if layer < case.layers - 1 and masks:
            x = x * masks[layer]
    return x, tuple(torch.stack(s) for s in zip(*ends, strict=True)), kept


def first_state(case, module, x, states, row):
    if states is not None:
        return tuple(s[row] for s in states)
    widths = [module.proj_size or H] + [H] * (case.kind == "LSTM")
    return tuple(torch.zeros(x.shape[1], w, dtype=x.dtype) for w in widths)


def loss_of(y, final):
    """A loss that reads every output and both last states."""
    weights = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).reshape(y.shape)
    return (weights * y).sum() + sum((n + 1) * (f**2).sum() for n, f in enumerate(final))
