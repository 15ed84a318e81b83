"""Paint a scene: ground, shadows, roofs, crowns at twice the size; then what air, lens and sensor do."""

import cv2
import numpy as np

from maskfold.demo.roofs import roof_surface, shadow_outlines
from maskfold.demo.scene import Building, Scene, Shape, Tree
from maskfold.demo.trees import Crown, make_crowns

OVERSAMPLING = 2  # drawn pixels per final pixel, either way
SHIFT = 4  # fractional bits of cv2's drawing coordinates
SHADE = np.array([0.40, 0.43, 0.50])  # of sunlit ground in shadow: red, green, blue (the sky is blue)


def draw_scene(rng: np.random.Generator, scene: Scene,
               pixels_per_metre: float) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Render a scene as a camera sees it straight from above.

    Returns: image uint8 RGB (H, W, 3), and mask uint8 (H, W): 1 where a roof (also one below a tree's crown)
    covers at least half of the pixel.
    """
    width, height = round(scene.width * pixels_per_metre), round(scene.height * pixels_per_metre)
    scale = pixels_per_metre * OVERSAMPLING
    canvas = np.empty((height * OVERSAMPLING, width * OVERSAMPLING, 4), np.uint8)  # RGB and roughness
    canvas[:] = scene.palette.grass
    for shape in scene.ground:
        _paint(canvas, shape, scale)
    _cast_shadows(canvas, scene, scale)
    roofs = np.zeros(canvas.shape[:2], np.uint8)
    for building in scene.buildings:
        _raise(canvas, roofs, building, scene.sun, scale)
    crowns = make_crowns(rng, scene.sun)
    for tree in scene.trees:
        _stamp(canvas, crowns[rng.integers(len(crowns))], tree, scale)
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    mask = cv2.resize(roofs * 255, (width, height), interpolation=cv2.INTER_AREA) >= 127
    return _photograph(rng, small, pixels_per_metre), mask.astype(np.uint8)


def _fixed(points: np.ndarray, scale: float) -> np.ndarray:
    return np.rint((points * scale - 0.5) * 2**SHIFT).astype(np.int32)


def _paint(canvas: np.ndarray, shape: Shape, scale: float) -> None:
    points = _fixed(shape.points, scale)
    if shape.width:
        thickness = max(1, round(shape.width * scale))
        cv2.polylines(canvas, [points], False, shape.paint, thickness, cv2.LINE_8, SHIFT)
    else:
        cv2.fillPoly(canvas, [points], shape.paint, cv2.LINE_8, SHIFT)


def _cast_shadows(canvas: np.ndarray, scene: Scene, scale: float) -> None:
    """Darken the ground where buildings and trees keep the sun off."""
    shadow = np.zeros(canvas.shape[:2], np.uint8)
    fall = scene.shadow
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    outlines = [outline for building in scene.buildings for outline in shadow_outlines(building, fall)]
    for tree in scene.trees:
        crown = circle * tree.radius + [tree.x, tree.y]
        outlines.append(np.vstack([crown, crown + 1.1 * tree.radius * fall]))
    for outline in outlines:
        hull = cv2.convexHull(_fixed(outline, scale))
        cv2.fillConvexPoly(shadow, hull, 255, cv2.LINE_8, SHIFT)
    shadow = cv2.GaussianBlur(shadow, (0, 0), 0.12 * scale)
    for channel, kept in enumerate(SHADE):
        table = np.rint(255 - np.arange(256) * (1 - kept)).astype(np.uint8)
        canvas[..., channel] = cv2.multiply(canvas[..., channel], cv2.LUT(shadow, table), scale=1 / 255)


def _raise(canvas: np.ndarray, roofs: np.ndarray, building: Building, sun: np.ndarray, scale: float) -> None:
    """Paint a building's roof, and mark it in `roofs`."""
    reach = [(w.x, w.y, np.hypot(w.length, w.width) / 2) for w in building.wings]
    low = np.min([(x - r, y - r) for x, y, r in reach], axis=0)
    high = np.max([(x + r, y + r) for x, y, r in reach], axis=0)
    rows, columns = _window(low, high, scale, roofs.shape)
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    y = (np.arange(rows.start, rows.stop) + 0.5)[:, None] / scale
    x = (np.arange(columns.start, columns.stop) + 0.5)[None, :] / scale
    surface = roof_surface(building, x, y, sun)
    colour = np.clip(surface.shade[..., None] * building.paint[:3], 0, 255)
    window = canvas[rows, columns]
    window[surface.covered, :3] = colour[surface.covered]
    window[surface.covered, 3] = building.paint[3]
    roofs[rows, columns] |= surface.covered
    for fixture in building.fixtures:
        _paint(canvas, fixture, scale)


def _stamp(canvas: np.ndarray, crown: Crown, tree: Tree, scale: float) -> None:
    """Blend a crown over whatever is below it."""
    side = max(3, round(2 * tree.radius * scale))
    left, top = round((tree.x - tree.radius) * scale), round((tree.y - tree.radius) * scale)
    height, width = canvas.shape[:2]
    inner_rows = slice(max(0, -top), min(side, height - top))
    inner_columns = slice(max(0, -left), min(side, width - left))
    if inner_rows.start >= inner_rows.stop or inner_columns.start >= inner_columns.stop:
        return
    resized = (cv2.resize(layer, (side, side), interpolation=cv2.INTER_AREA) for layer in crown)
    alpha, shade = (layer[inner_rows, inner_columns, None] for layer in resized)
    window = canvas[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)]
    paint = np.array(tree.paint, np.float32)
    leaves = np.concatenate([shade * paint[:3], np.full_like(shade, paint[3])], axis=-1)
    window[:] = np.clip(window * (1 - alpha) + leaves * alpha, 0, 255)


def _window(low: np.ndarray, high: np.ndarray, scale: float, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of a box given in metres, cut to the canvas."""
    x0, y0 = np.clip(np.floor(low * scale), 0, None).astype(int).tolist()
    x1, y1 = np.clip(np.ceil(high * scale), 0, None).astype(int).tolist()
    return slice(y0, min(y1, shape[0])), slice(x0, min(x1, shape[1]))


def _photograph(rng: np.random.Generator, painted: np.ndarray, pixels_per_metre: float) -> np.ndarray:
    """Painted (H, W, 4) to a photograph (H, W, 3): texture, uneven light, haze, blur, noise."""
    shape = painted.shape[:2]
    image = painted[..., :3].astype(np.float32)
    rough = painted[..., 3].astype(np.float32) / 255
    fine, middle, coarse = (_noise(rng, shape, metres * pixels_per_metre) for metres in (0.5, 2.5, 22.0))
    image *= (1 + rough * (0.22 * fine + 0.16 * middle + 0.18 * coarse))[..., None]
    image[..., 0] *= 1 + 0.14 * rough * (coarse + 0.6 * middle)  # dry and lush patches
    slopes = [np.linspace(-1, 1, side) * rng.normal(0, 0.05) for side in shape]
    image *= (rng.uniform(0.9, 1.06) + np.add.outer(*slopes))[..., None].astype(np.float32)
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * rng.uniform(0.6, 0.9)
    haze = rng.uniform(0, 0.14)
    image = image * (1 - haze) + haze * np.array([168, 180, 190], np.float32)
    image *= rng.normal(1, 0.025, 3).astype(np.float32)  # white balance
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.45, 0.7))
    image += rng.normal(0, rng.uniform(2, 3.5), image.shape).astype(np.float32)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, shape: tuple[int, int], pixels: float) -> np.ndarray:
    """Smooth noise (H, W) of about unit variance whose lumps are `pixels` wide."""
    grid = [max(2, int(side / max(pixels, 1)) + 2) for side in shape]
    noise = rng.standard_normal(grid, np.float32)
    return cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_CUBIC)
