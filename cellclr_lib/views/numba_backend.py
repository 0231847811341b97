"""Apply views on a CPU in compiled loops: each image goes through all changes at once, within the cache.

The same draw gives the same views as `torch_backend`, within rounding. That one takes the whole batch through one
operation after another, which suits a GPU; a CPU would spend its time on moving batches to and from memory.
Explained in chapter 3, *views*.
"""

import numpy as np
import torch

from cellclr_lib.views.config import ViewConfig
from cellclr_lib.views.geometry import affine, blur_kernel, net
from cellclr_lib.views.jit import compiled, in_threads
from cellclr_lib.views.pixels import compilable, full_scale
from cellclr_lib.views.sampling import ViewDraw

ROWS = 8  # of an image that are looked up at a time
BLOCK = 1024  # values that are summed at a time
NEGLIGIBLE = np.float32(1e-9)  # a weight that does not show in a float32 sum


def apply_per_image(images: torch.Tensor, draw: ViewDraw, config: ViewConfig) -> torch.Tensor:
    """Change `images` as drawn; return a new tensor.

    Parameters
    ----------
    images : Tensor, shape (N, C, H, W)
        Of any real type, on the CPU.
    draw : ViewDraw
    config : ViewConfig

    Returns
    -------
    Tensor, shape (N, C, H, W), float32
    """
    n, channels, height, width = images.shape
    images = compilable(images)
    centre, linear = affine(n, height, width, draw.box, draw.flip, draw.angle, "cpu")
    down, across = (net(size, config.elastic_length_px, "cpu") for size in (height, width))
    unchanged = torch.ones(n, channels)
    brightness, contrast, keep = (
        unchanged if factor is None else factor for factor in (draw.brightness, draw.contrast, draw.keep)
    )
    scale = brightness * keep / full_scale(images.dtype)
    if draw.sigma is None:
        kernel = torch.ones(n, 1)
    else:
        kernel = blur_kernel(draw.sigma, config.blur_kernel_px, min(height, width))
    nothing = torch.zeros(0, 1, 1, 1)
    view = torch.from_numpy(np.empty(images.shape, np.float32))  # numpy uses large pages, torch does not
    tensors = (
        images,
        centre,
        linear,
        nothing if draw.bend is None else draw.bend,
        torch.zeros(n) if draw.bend_px is None else draw.bend_px,
        down,
        across.T,
        scale * contrast,
        scale * (1 - contrast),
        kernel,
        nothing.flatten(2) if draw.noise is None else draw.noise.flatten(2),
        view.flatten(2),
    )
    arrays = [tensor.detach().contiguous().numpy() for tensor in tensors]
    in_threads(lambda start, stop: _views(start, stop, *arrays), n)
    return view


@compiled
def _views(
    start: int,
    stop: int,
    images: np.ndarray,
    centre: np.ndarray,
    linear: np.ndarray,
    bend: np.ndarray,
    bend_px: np.ndarray,
    down: np.ndarray,
    across: np.ndarray,
    gain: np.ndarray,
    lift: np.ndarray,
    kernel: np.ndarray,
    noise: np.ndarray,
    views: np.ndarray,
) -> None:
    """Make `views` (N, C, H · W) of images `start` to `stop`.

    A view is gain · blurred + lift · mean + noise, where `mean` is that of the looked-up channel. A batch without
    `noise` or `bend` has none at all: length 0.
    """
    _, channels, height, width = images.shape
    reach = kernel.shape[1] // 2
    planes = np.empty((channels, (height + 1) * (width + 1)), np.float32)
    half_bent = np.empty(down.shape[1] * 2 * width, np.float32)
    shift = np.empty((ROWS, 2 * width), np.float32)
    index = np.empty(ROWS * width, np.uint32)
    right, below = np.empty(ROWS * width, np.float32), np.empty(ROWS * width, np.float32)
    total = np.empty(channels, np.float32)
    framed = np.empty((height + 2 * reach) * (width + 2 * reach), np.float32)
    half_blurred = np.empty_like(framed)
    for n in range(start, stop):
        for c in range(channels):
            _repeat_edge(images[n, c], planes[c])
        bent = bend_px[n] > 0
        if bent:
            _bend_across(bend[n], bend_px[n], across, half_bent)
        shift[:] = 0
        total[:] = 0
        for y in range(0, height, ROWS):
            rows = min(ROWS, height - y)
            if bent:
                _bend_down(half_bent, down[y : y + rows], shift)
            _aim(y, rows, height, width, centre[n], linear[n], shift, index, right, below)
            part = slice(y * width, (y + rows) * width)
            for c in range(channels):
                total[c] += _look_up(planes[c], width + 1, index, right, below, views[n, c, part])
        for c in range(channels):
            if reach and kernel[n, reach] < 1:
                _blur(views[n, c], height, width, kernel[n], framed, half_blurred)
            _rescale(views[n, c], gain[n, c], lift[n, c] * total[c] / np.float32(height * width))
            if len(noise):
                _add(views[n, c], noise[n, c])


@compiled
def _repeat_edge(image: np.ndarray, plane: np.ndarray) -> None:
    """Copy `image` (H, W), its last row and column twice, to `plane`, where thus each pixel has neighbours."""
    height, width = image.shape
    for y in range(height + 1):
        row, out = image[min(y, height - 1)], plane[y * (width + 1) : (y + 1) * (width + 1)]
        for x in range(width):
            out[x] = row[x]
        out[width] = row[width - 1]


@compiled
def _bend_across(bend: np.ndarray, px: float, across: np.ndarray, half_bent: np.ndarray) -> None:
    """Compute displacements (J · 2 · W), along x and y, at rows of the net (2, J, K) and columns of the image."""
    width = across.shape[1]
    for j in range(bend.shape[1]):
        for axis in range(2):
            out = half_bent[(2 * j + axis) * width : (2 * j + axis + 1) * width]
            _sum_pieces(bend[axis, j], across.ravel(), 0, width, out)
            for x in range(width):
                out[x] *= px


@compiled
def _bend_down(half_bent: np.ndarray, down: np.ndarray, shift: np.ndarray) -> None:
    """Displacements (ROWS, 2 · W) of the rows that have the weights `down` (up to ROWS, J)."""
    step = shift.shape[1]
    for y in range(len(down)):
        first, last = _support(down[y])
        _sum_pieces(down[y, first:last], half_bent, step * first, step, shift[y])


@compiled
def _aim(
    start: int,
    rows: int,
    height: int,
    width: int,
    centre: np.ndarray,
    linear: np.ndarray,
    shift: np.ndarray,
    index: np.ndarray,
    right: np.ndarray,
    below: np.ndarray,
) -> None:
    """Find where the pixels of some rows are looked up: index, and the shares of neighbours right and below.

    The source of pixel p is centre + linear · (p + shift), as in `warp.sampling_grid`.
    """
    half = np.float32(0.5)
    middle_x, middle_y = half * np.float32(width), half * np.float32(height)
    centre_x, centre_y = centre[0] + middle_x, centre[1] + middle_y
    xx, xy, yx, yy = linear[0, 0], linear[0, 1], linear[1, 0], linear[1, 1]
    for row in range(rows):
        part = slice(row * width, (row + 1) * width)
        shift_x, shift_y = shift[row, :width], shift[row, width:]
        index_, right_, below_ = index[part], right[part], below[part]
        y = np.float32(start + row) + half - middle_y
        for column in range(width):
            u = np.float32(np.int32(column)) + half - middle_x + shift_x[column]
            v = y + shift_y[column]
            source_x = _mirror(centre_x + xx * u + xy * v, np.float32(width))
            source_y = _mirror(centre_y + yx * u + yy * v, np.float32(height))
            i, j = np.int32(source_y), np.int32(source_x)
            right_[column], below_[column] = source_x - np.float32(j), source_y - np.float32(i)
            # Unsigned, as a signed index may be negative and then counts from the end, which costs a comparison.
            index_[column] = np.uint32(i) * np.uint32(width + 1) + np.uint32(j)


@compiled
def _mirror(position: float, size: int) -> float:
    """Mirror a position at both outer edges; in: from the outer edge, out: from the first pixel's centre."""
    half, period = np.float32(0.5), np.float32(2) * size
    position -= period * np.floor(position / period)
    position = size - half - abs(position - size)
    return min(max(position, np.float32(0)), size - np.float32(1))


@compiled
def _look_up(
    plane: np.ndarray, stride: int, index: np.ndarray, right: np.ndarray, below: np.ndarray, out: np.ndarray
) -> float:
    """Interpolate bilinearly; return the sum."""
    total, one, stride = np.float32(0), np.uint32(1), np.uint32(stride)
    for x in range(len(out)):
        i = index[x]
        a, b, c, d = plane[i], plane[i + one], plane[i + stride], plane[i + stride + one]
        upper, lower = a + right[x] * (b - a), c + right[x] * (d - c)
        out[x] = upper + below[x] * (lower - upper)
        total += out[x]
    return total


@compiled
def _blur(
    image: np.ndarray, height: int, width: int, kernel: np.ndarray, framed: np.ndarray, half_blurred: np.ndarray
) -> None:
    """Blur `image` (H · W) in place, mirrored about its border pixels; the last two are scratch memory."""
    first, last = _support(kernel)
    reach, kernel = (last - first) // 2, kernel[first:last]
    high, wide = height + 2 * reach, width + 2 * reach
    for y in range(high):
        source = height - 1 - abs(height - 1 - abs(y - reach))
        row, out = image[source * width : (source + 1) * width], framed[y * wide : (y + 1) * wide]
        _copy(row, out[reach : reach + width])
        for t in range(reach):
            out[reach - 1 - t] = row[1 + t]
            out[reach + width + t] = row[width - 2 - t]
    # Sums over the end of a row and the beginning of the next are not used; they let one long loop do.
    _sum_pieces(kernel, framed, 0, 1, half_blurred[: high * wide - 2 * reach])
    _sum_pieces(kernel, half_blurred, 0, wide, framed[: height * wide - 2 * reach])
    for y in range(height):
        _copy(framed[y * wide : y * wide + width], image[y * width : (y + 1) * width])


@compiled
def _support(weights: np.ndarray) -> tuple[int, int]:
    """Find the first of the weights that count, and the one after the last."""
    first, last = 0, len(weights)
    while weights[first] < NEGLIGIBLE:
        first += 1
    while weights[last - 1] < NEGLIGIBLE:
        last -= 1
    return first, last


@compiled
def _sum_pieces(weights: np.ndarray, source: np.ndarray, start: int, step: int, out: np.ndarray) -> None:
    """Write to `out` the weighted sum of pieces of `source`: the first begins at `start`, each next `step` on."""
    for begin in range(0, len(out), BLOCK):
        block = out[begin : begin + BLOCK]
        size, at, t = len(block), start + begin, 0
        block[:] = 0
        while t + 3 < len(weights):  # four at a time, which saves loading and storing the block
            a, b = source[at : at + size], source[at + step : at + step + size]
            c, d = source[at + 2 * step : at + 2 * step + size], source[at + 3 * step : at + 3 * step + size]
            wa, wb, wc, wd = weights[t], weights[t + 1], weights[t + 2], weights[t + 3]
            for x in range(size):
                block[x] += wa * a[x] + wb * b[x] + wc * c[x] + wd * d[x]
            t, at = t + 4, at + 4 * step
        while t < len(weights):
            a, wa = source[at : at + size], weights[t]
            for x in range(size):
                block[x] += wa * a[x]
            t, at = t + 1, at + step


@compiled
def _copy(source: np.ndarray, out: np.ndarray) -> None:
    for x in range(len(out)):
        out[x] = source[x]


@compiled
def _rescale(values: np.ndarray, factor: float, summand: float) -> None:
    for x in range(len(values)):
        values[x] = factor * values[x] + summand


@compiled
def _add(values: np.ndarray, more: np.ndarray) -> None:
    for x in range(len(values)):
        values[x] += more[x]
