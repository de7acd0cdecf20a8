"""The matting Laplacian: how far a picture is from colours that are affine, place by place, in those of another.

Source: Levin, Lischinski and Weiss 2008, "A closed-form solution to natural image matting"; Luan, Paris, Shechtman and
Bala 2017, "Deep photo style transfer" (arXiv:1703.07511), use it to keep a styled photograph a photograph; Li, Liu, Li,
Yang and Kautz 2018, "A closed-form solution to photorealistic image stylization" (arXiv:1802.06474), to make it one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import cg
from torch import Tensor

_SIDE = 3  # pixels of a window
_EPSILON = 1e-7  # of the windows' covariances, as in Levin's own code: the price of steep affine maps
_EXACT = 1e-4  # of 0..1, root mean square: how far `smoothed` may be from the minimum, a fortieth of a step of 8 bits


def matting_laplacian(pixels: NDArray[np.float64], epsilon: float = _EPSILON) -> sparse.csr_array:
    """Return L of equation 12 in Levin et al. (2008), symmetric, with no negative eigenvalue.

    For any channel v, v'Lv is the least squared error with which v is affine in the colours of `pixels`, each window
    of 3 x 3 pixels with a map of its own.

    Args:
        pixels: H x W x C in 0..1, at least 3 x 3.
        epsilon: regulariser of the maps' slopes.

    Returns:
        H W x H W float64; pixels are counted row by row.
    """
    height, width, channels = pixels.shape
    size = _SIDE**2
    places = np.arange(height * width).reshape(height, width)
    windows = np.lib.stride_tricks.sliding_window_view(places, (_SIDE, _SIDE)).reshape(-1, size)
    colours = pixels.reshape(-1, channels)[windows]  # windows x 9 x C
    centred = colours - colours.mean(1, keepdims=True)
    covariance = np.einsum("wic,wid->wcd", centred, centred) / size + epsilon / size * np.eye(channels)
    products = centred @ np.linalg.solve(covariance, centred.transpose(0, 2, 1))
    values = np.eye(size) - (1 + products) / size
    rows, columns = np.repeat(windows, size, 1), np.tile(windows, (1, size))
    entries = (values.ravel(), (rows.ravel(), columns.ravel()))
    return sparse.coo_array(entries, shape=(places.size, places.size)).tocsr()


class _Quadratic(torch.autograd.Function):
    """v'Lv summed over channels, by a sparse product on the CPU in float64; its gradient is 2Lv."""

    @staticmethod
    def forward(context: Any, values: Tensor, laplacian: sparse.csr_array) -> Tensor:
        flat = values.detach().reshape(values.shape[1], -1).double().cpu().numpy().T
        product = laplacian @ flat  # pixels x C
        context.slope = torch.from_numpy(np.ascontiguousarray(2 * product.T)).view(values.shape).to(values)
        return values.new_tensor(float((flat * product).sum()))

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * context.slope, None


def photorealism(values: Tensor, laplacian: sparse.csr_array) -> Tensor:
    """1 x C x H x W in 0..1 -> mean over pixels of v'Lv, summed over channels (Luan et al. 2017, equation 2)."""
    total: Tensor = _Quadratic.apply(values, laplacian)  # type: ignore[no-untyped-call]
    return total / float(laplacian.shape[0])


def smoothed(values: NDArray[np.float64], laplacian: sparse.csr_array, weight: float) -> NDArray[np.float64]:
    """Return the picture near `values` whose colours are affine, place by place, in those of the content.

    For each channel it is the minimum of |x - y|^2 + weight x'Lx: (I + weight L) x = y (Li et al. 2018, section 3.2).
    They divide L by the number of windows that a pixel is in, 9 but for borders, and take the weight 10,000, which is
    1,100 here. Undivided, even pictures and others that are affine in the content cost nothing at borders either.

    Solved by conjugate gradients. No eigenvalue of the matrix is below 1, so the error is at most the residual.

    Args:
        values: H x W x C, y.
        laplacian: of the content, H W x H W.
        weight: of photorealism.

    Returns:
        H x W x C, not clipped.
    """
    places = values.shape[0] * values.shape[1]
    matrix = sparse.eye_array(places, format="csr") + weight * laplacian
    scale = sparse.diags_array(1 / matrix.diagonal())  # Jacobi's preconditioner: borders have fewer windows
    found = []
    for known in values.reshape(places, -1).T:
        channel, _ = cg(matrix, known, known, rtol=0, atol=_EXACT * places**0.5, maxiter=20 * places, M=scale)
        found.append(channel)
    return np.stack(found, 1).reshape(values.shape)
