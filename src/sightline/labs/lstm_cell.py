"""A long short-term memory written out, with the weights as torch lays them, to be read and compared.

The cell c is a sum that is only added to and scaled, so an error goes back through it without fading (S. Hochreiter and
J. Schmidhuber 1997, Long Short-Term Memory, section 4: the "constant error carousel"). An input gate i decides what is
added and an output gate o what is shown; the forget gate f, by which a cell is emptied, came later (F. Gers, J.
Schmidhuber and F. Cummins 2000, Learning to Forget, equations 1 to 6).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]  # what is shown, and the cell: N x U each


def lstm_step(values: Tensor, state: State, weights: tuple[Tensor, Tensor], biases: tuple[Tensor, Tensor]) -> State:
    """Take one step.

    i = sigmoid(W_i x + b_i + R_i h + d_i), likewise f and o; g = tanh(W_g x + b_g + R_g h + d_g);
    c' = f c + i g;  h' = o tanh(c').

    Args:
        values: N x D, x.
        state: h and c of the step before.
        weights: W and R, 4 U x D and 4 U x U, the rows of i, f, g and o one below the other, as in `torch.nn.LSTM`.
        biases: b and d, 4 U each; that there are two is only torch's custom.
    """
    shown, cell = state
    sums = values @ weights[0].T + biases[0] + shown @ weights[1].T + biases[1]
    into, forget, new, out = sums.chunk(4, dim=1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(into) * torch.tanh(new)
    return torch.sigmoid(out) * torch.tanh(cell), cell


def lstm(values: Tensor, layer: nn.LSTM) -> Tensor:
    """Return what `layer` (one layer, batch first, in one direction or both) makes of N x T x D: N x T x U or 2 U.

    In both directions it is two networks, one of which reads from the end (M. Schuster and K. Paliwal 1997).
    """
    ways = [_one_way(values, layer, "")]
    if layer.bidirectional:
        ways.append(_one_way(values.flip(1), layer, "_reverse").flip(1))
    return torch.cat(ways, 2)


def _one_way(values: Tensor, layer: nn.LSTM, suffix: str) -> Tensor:
    into, back = (getattr(layer, f"weight_{name}_l0{suffix}") for name in ("ih", "hh"))
    biases = (getattr(layer, f"bias_ih_l0{suffix}"), getattr(layer, f"bias_hh_l0{suffix}"))
    state = (values.new_zeros(len(values), layer.hidden_size), values.new_zeros(len(values), layer.hidden_size))
    shown = []
    for step in values.unbind(1):
        state = lstm_step(step, state, (into, back), biases)
        shown.append(state[0])
    return torch.stack(shown, 1)
