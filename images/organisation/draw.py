"""Draws every picture of the reference organisation into pictures/.

Kept so that a picture can be changed or added in the same hand; the results are committed, and building an
image does not run it. Needs Pillow 10 or later and Debian's fonts-urw-base35. The same run gives the same files.

    python draw.py [name ...]
"""

# A drawing is mostly coordinates: one stroke a line reads better than one number a line.
# Shapes are drawn at once, so that a lambda never outlives its loop; chance here only scatters leaves.
# ruff: noqa: E501, B023, S311
# fmt: off

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

PICTURES = Path(__file__).resolve().parent / "pictures"
FONTS = Path("/usr/share/fonts/opentype/urw-base35")
S = 2  # everything is drawn twice as large, then reduced: smooth edges
FINE = 4  # and what a scene may show enlarged, twice as large again

Colour = tuple[int, int, int]
Point = tuple[float, float]

GREEN, OCHRE, CREAM = (63, 91, 58), (201, 138, 43), (250, 246, 236)
INK = (52, 58, 46)
KRAFT = (203, 168, 124)
ROMAN, ITALIC, BOLD = "P052-Roman", "P052-Italic", "P052-Bold"
SANS, SANS_BOLD, SCRIPT = "URWGothic-Book", "URWGothic-Demi", "Z003-MediumItalic"


def mix(a: Colour, b: Colour, t: float) -> Colour:
    return tuple(round(x + (y - x) * t) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def light(c: Colour, t: float) -> Colour:
    return mix(c, (255, 255, 255), t)


def dark(c: Colour, t: float) -> Colour:
    return mix(c, (22, 24, 16), t)


def ramp(stops: Sequence[tuple[float, Colour]], size: tuple[int, int], across: bool) -> Image.Image:
    strip = Image.new("RGB", (256, 1))
    for i in range(256):
        t = i / 255
        for (t0, c0), (t1, c1) in pairwise(stops):
            if t <= t1 or (t1, c1) == stops[-1]:
                strip.putpixel((i, 0), mix(c0, c1, min(1, max(0, (t - t0) / max(1e-6, t1 - t0)))))
                break
    return (strip if across else strip.transpose(Image.Transpose.ROTATE_270)).resize(size, Image.Resampling.BICUBIC)


def curve(*points: Point, steps: int = 24) -> list[Point]:
    """A Bézier curve of any degree."""
    result = []
    for i in range(steps + 1):
        layer, t = list(points), i / steps
        while len(layer) > 1:
            layer = [(a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t) for a, b in pairwise(layer)]
        result.append(layer[0])
    return result


def arc(cx: float, cy: float, rx: float, ry: float, start: float, end: float, steps: int = 32) -> list[Point]:
    angles = [math.radians(start + (end - start) * i / steps) for i in range(steps + 1)]
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


def polar(x: float, y: float, angle: float, length: float) -> Point:
    """Angles in degrees, 0 to the right, 90 up."""
    return x + length * math.cos(math.radians(angle)), y - length * math.sin(math.radians(angle))


class Layer:
    def __init__(self, width: float, height: float, fill: Colour | None = None, k: float = S) -> None:
        self.w, self.h, self.k = width, height, k
        size = (round(width * k), round(height * k))
        self.im = Image.new("RGBA", size, (*fill, 255) if fill else (0, 0, 0, 0))
        self.d = ImageDraw.Draw(self.im)

    def poly(self, points: Iterable[Point], colour: Colour = INK) -> None:
        self.d.polygon([(x * self.k, y * self.k) for x, y in points], fill=(*colour, 255))

    def rect(self, x0: float, y0: float, x1: float, y1: float, colour: Colour = INK) -> None:
        self.d.rectangle([x0 * self.k, y0 * self.k, x1 * self.k, y1 * self.k], fill=(*colour, 255))

    def block(self, x0: float, y0: float, x1: float, y1: float, radius: float, colour: Colour = INK) -> None:
        box = [v * self.k for v in (x0, y0, x1, y1)]
        self.d.rounded_rectangle(box, radius=radius * self.k, fill=(*colour, 255))

    def line(self, points: Sequence[Point], colour: Colour, width: float, end: float | None = None) -> None:
        """A line with round ends, that may taper from one width to another."""
        end = width if end is None else end
        for i, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
            w = width + (end - width) * i / max(1, len(points) - 1)
            self.d.line([(x0 * self.k, y0 * self.k), (x1 * self.k, y1 * self.k)], fill=(*colour, 255), width=max(1, round(w * self.k)))
            if w * self.k > 3:
                self.dot(x1, y1, round(w * self.k) / 2 / self.k - 0.4 / self.k, colour)

    def dot(self, x: float, y: float, r: float, colour: Colour = INK) -> None:
        self.oval(x, y, r, r, colour)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour = INK) -> None:
        self.d.ellipse([(x - rx) * self.k, (y - ry) * self.k, (x + rx) * self.k, (y + ry) * self.k], fill=(*colour, 255))

    def text(
        self, x: float, y: float, words: str, font: str, size: float, colour: Colour, track: float = 0, fit: float = 0
    ) -> None:
        face = ImageFont.truetype(str(FONTS / f"{font}.otf"), round(size * self.k))
        width = face.getlength(words) / self.k + track * (len(words) - 1)
        if fit and width > fit:
            return self.text(x, y, words, font, size * fit / width, colour, track * fit / width)
        if not track:
            self.d.text((x * self.k, y * self.k), words, font=face, fill=(*colour, 255), anchor="ms")
            return None
        x -= width / 2
        for letter in words:
            self.d.text((x * self.k, y * self.k), letter, font=face, fill=(*colour, 255), anchor="ls")
            x += face.getlength(letter) / self.k + track
        return None

    def mask(self, shape: Callable[[Layer], object]) -> Image.Image:
        other = Layer(self.w, self.h, k=self.k)
        shape(other)
        return other.im.getchannel("A")

    def fill(self, shape: Callable[[Layer], object], stops: Sequence[tuple[float, Colour]], across: bool = True) -> None:
        """Fills what `shape` draws with a gradient over its own extent."""
        mask = self.mask(shape)
        box = mask.getbbox()
        if box:
            gradient = ramp(stops, (box[2] - box[0], box[3] - box[1]), across)
            self.im.paste(gradient, box[:2], mask.crop(box))

    def veil(
        self, shape: Callable[[Layer], object], colour: Colour, opacity: float, blur: float = 0, inside: bool = False
    ) -> None:
        """A translucent, perhaps soft, shape over what is there (and only there, with `inside`)."""
        mask = self.mask(shape)
        if blur:
            mask = mask.filter(ImageFilter.GaussianBlur(blur * self.k))
        mask = mask.point(lambda v: round(v * opacity))
        if inside:
            mask = ImageChops.multiply(mask, self.im.getchannel("A"))
        over = Image.new("RGBA", self.im.size, (*colour, 0))
        over.putalpha(mask)
        self.im.alpha_composite(over)

    def put(
        self,
        other: Layer,
        x: float,
        y: float,
        scale: float = 1,
        angle: float = 0,
        blur: float = 0,
        opacity: float = 1,
        shadow: float = 0,
        lift: float = 8,
        flip: bool = False,
    ) -> None:
        """Places another layer by the middle of its bottom edge (or its centre when turned)."""
        im = other.im.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else other.im
        scale *= self.k / other.k
        if abs(scale - 1) > 1e-6:
            im = im.resize((round(im.width * scale), round(im.height * scale)), Image.Resampling.LANCZOS)
        left, top = x * self.k - im.width / 2, y * self.k - im.height
        if angle:
            turned = im.rotate(angle, Image.Resampling.BICUBIC, expand=True)
            left, top = left - (turned.width - im.width) / 2, top - (turned.height - im.height) / 2
            im = turned
        if blur or shadow:
            pad = round((blur + lift * 3) * self.k) + 4
            wide = Image.new("RGBA", (im.width + 2 * pad, im.height + 2 * pad))
            wide.paste(im, (pad, pad))
            im, left, top = wide, left - pad, top - pad
        if blur:
            # With the colours premultiplied: the empty part around must not darken the edges.
            im = im.convert("RGBa").filter(ImageFilter.GaussianBlur(blur * self.k)).convert("RGBA")
        if opacity < 1:
            im.putalpha(im.getchannel("A").point(lambda v: round(v * opacity)))
        if shadow:
            alpha = im.getchannel("A").point(lambda v: round(v * shadow)).filter(ImageFilter.GaussianBlur(lift * self.k))
            shade = Image.new("RGBA", im.size, (38, 32, 20, 0))
            shade.putalpha(alpha)
            self._over(shade, left + lift * 0.6 * self.k, top + lift * 0.8 * self.k)
        self._over(im, left, top)

    def _over(self, im: Image.Image, left: float, top: float) -> None:
        left, top = round(left), round(top)
        box = (max(0, -left), max(0, -top), min(im.width, self.im.width - left), min(im.height, self.im.height - top))
        if box[0] < box[2] and box[1] < box[3]:
            self.im.alpha_composite(im.crop(box), (left + box[0], top + box[1]))

    def ground(self, x: float, y: float, rx: float, opacity: float = 0.42, depth: float = 0) -> None:
        """The shadow of something that stands; `depth` is how far its round foot comes forward."""
        y -= depth
        self.veil(lambda m: m.oval(x + rx * 0.16, y + 3, rx * 1.22, rx * 0.20), (58, 46, 28), opacity * 0.6, rx * 0.12)
        low = max(rx * 0.07, depth * 1.08)
        self.veil(lambda m: m.oval(x + rx * 0.02, y + 1, rx * 1.01, low), (36, 28, 16), opacity * 1.2, rx * 0.035)

    def save(self, name: str, quality: int = 83) -> None:
        small = self.im.resize((round(self.w), round(self.h)), Image.Resampling.LANCZOS)
        path = PICTURES / name
        if path.suffix == ".png":
            small.save(path, optimize=True)
        else:
            small.convert("RGB").save(path, quality=quality, optimize=True, progressive=True)


# --- plants -----------------------------------------------------------------------------------------------


def leaf(
    m: Layer, x: float, y: float, length: float, width: float, angle: float, colour: Colour,
    bend: float = 0, teeth: int = 0, belly: float = 0.85, veins: int = 5,
) -> None:  # fmt: skip
    axis, left, right = [], [], []
    steps = max(18, teeth * 4)
    px, py, a = x, y, angle
    for i in range(steps + 1):
        t = i / steps
        half = width / 2 * math.sin(math.pi * t**belly) ** (1.3 if belly < 0.7 else 0.9) if 0 < t < 1 else 0
        if teeth:
            half *= 1 - 0.16 * ((t * teeth) % 1)
        axis.append((px, py))
        left.append(polar(px, py, a + 90, half))
        right.append(polar(px, py, a - 90, half))
        px, py = polar(px, py, a, length / steps)
        a += bend / steps
    m.poly(left + right[::-1], colour)
    m.poly(axis + right[::-1], light(colour, 0.13))
    if width > 7:
        rib = light(colour, 0.34)
        for k in range(1, veins + 1):
            i = round(steps * k / (veins + 1.5))
            for side in (left, right):
                j = min(steps, i + round(steps * 0.13))
                end = (axis[j][0] + (side[j][0] - axis[j][0]) * 0.8, axis[j][1] + (side[j][1] - axis[j][1]) * 0.8)
                m.line([axis[i], end], mix(colour, rib, 0.55), max(0.6, width * 0.012))
        m.line(axis[: round(steps * 0.94)], rib, max(0.9, width * 0.035), max(0.5, width * 0.012))


def sprig(
    m: Layer, x: float, y: float, angle: float, length: float, pairs: int, size: float, slim: float, colour: Colour,
    spread: float = 52, bend: float = 20, teeth: int = 0, belly: float = 0.85, seed: int = 0,
) -> None:  # fmt: skip
    r = random.Random(seed)
    top = polar(x, y, angle + bend, length)
    stem = curve((x, y), polar(x, y, angle, length * 0.55), top)
    m.line(stem, mix(dark(colour, 0.2), (120, 110, 60), 0.25), max(1.5, size * 0.055), max(0.8, size * 0.025))
    for k in range(pairs):
        t = 0.16 + 0.80 * k / pairs
        i = round(t * (len(stem) - 1))
        px, py = stem[i]
        a = angle + bend * t * 1.6
        long = size * (1.05 - 0.5 * t) * r.uniform(0.9, 1.08)
        for side in (1, -1):
            tint = mix(colour, light(colour, 0.22), r.random() * 0.6)
            leaf(m, px, py, long, long * slim, a + side * spread * r.uniform(0.85, 1.1), tint, -side * 22, teeth, belly)
    leaf(m, *stem[-1], size * 0.6, size * 0.6 * slim, angle + bend * 1.6, light(colour, 0.12), 0, teeth, belly)


def daisy(m: Layer, x: float, y: float, r: float, seed: int = 0, tilt: float = 1) -> None:
    rnd = random.Random(seed)
    for ring, shade in ((1.0, (236, 233, 222)), (0.94, (255, 254, 249))):
        count = 15
        for k in range(count):
            a = math.radians(k * 360 / count + (12 if ring < 1 else 0) + rnd.uniform(-4, 4))
            tip = (x + r * ring * math.cos(a), y + r * ring * math.sin(a) * tilt)
            m.line([(x + r * 0.2 * math.cos(a), y + r * 0.2 * math.sin(a) * tilt), tip], shade, r * 0.15, r * 0.19)
    m.oval(x, y + r * 0.03, r * 0.34, r * 0.34 * max(0.75, tilt), (198, 140, 30))
    m.oval(x, y - r * 0.02, r * 0.31, r * 0.31 * max(0.75, tilt), (238, 186, 52))
    for _ in range(22):
        a, d = rnd.uniform(0, math.tau), rnd.uniform(0, r * 0.26)
        m.dot(x + d * math.cos(a), y - r * 0.02 + d * math.sin(a) * tilt, r * 0.032, rnd.choice([(250, 216, 110), (206, 146, 30)]))


def blossom(m: Layer, x: float, y: float, r: float, turn: float = 0) -> None:
    """Orange flower: five thick white petals."""
    for k in range(5):
        a = turn + k * 72
        leaf(m, x, y, r, r * 0.62, a, (240, 237, 226), 0, 0, 1.35, 0)
        leaf(m, *polar(x, y, a, r * 0.12), r * 0.8, r * 0.42, a, (255, 254, 250), 0, 0, 1.35, 0)
    for k in range(9):
        tip = polar(x, y, turn + k * 40 + 15, r * 0.36)
        m.line([(x, y), tip], (246, 240, 214), r * 0.05)
        m.dot(*tip, r * 0.06, (232, 176, 48))
    m.dot(x, y, r * 0.09, (176, 190, 98))


def linden(m: Layer, x: float, y: float, size: float, angle: float = -90, seed: int = 0) -> None:
    """A pale bract with its hanging cluster of flowers."""
    r = random.Random(seed)
    leaf(m, x, y, size, size * 0.24, angle, (203, 208, 132), r.uniform(-18, 18), 0, 0.8, 6)
    start = polar(x, y, angle, size * 0.45)
    for k in range(6):
        a = angle + (k - 2.5) * 19 + r.uniform(-6, 6)
        tip = polar(*start, a, size * r.uniform(0.34, 0.56))
        m.line([start, tip], (168, 170, 92), size * 0.014)
        for j in range(7):
            m.dot(*polar(*tip, j * 51, size * 0.05), size * 0.028, (250, 238, 176))
        m.dot(*tip, size * 0.04, (226, 184, 74))


def heart_leaf(m: Layer, x: float, y: float, size: float, angle: float, colour: Colour) -> None:
    leaf(m, x, y, size, size * 0.80, angle, colour, 8, 14, 0.72, 6)


def ball(m: Layer, x: float, y: float, r: float, colour: Colour) -> None:
    m.dot(x, y, r, dark(colour, 0.32))
    m.dot(x - r * 0.05, y - r * 0.06, r * 0.9, colour)
    m.oval(x - r * 0.2, y - r * 0.24, r * 0.56, r * 0.5, light(colour, 0.16))
    m.oval(x - r * 0.32, y - r * 0.38, r * 0.18, r * 0.13, light(colour, 0.72))


def currants(m: Layer, x: float, y: float, size: float, colour: Colour, seed: int = 0) -> None:
    r = random.Random(seed)
    stem = curve((x, y), (x + size * 0.15, y + size * 0.5), (x, y + size))
    m.line(stem, (120, 128, 64), size * 0.022)
    for k in range(9):
        t = 0.15 + k * 0.1
        px, py = stem[min(24, round(t * 24))]
        ball(m, px + (-1 if k % 2 else 1) * size * r.uniform(0.07, 0.13), py + size * 0.04, size * (0.13 - 0.005 * k), colour)


def apple(m: Layer, x: float, y: float, r: float, colour: Colour = (196, 60, 46)) -> None:
    def body(k: Layer) -> None:
        k.oval(x - r * 0.36, y, r * 0.66, r * 0.88, (0, 0, 0))
        k.oval(x + r * 0.36, y, r * 0.66, r * 0.88, (0, 0, 0))
        k.oval(x, y + r * 0.06, r * 0.8, r * 0.84, (0, 0, 0))

    m.fill(body, [(0, light(colour, 0.1)), (0.35, light(colour, 0.24)), (0.7, colour), (1, dark(colour, 0.42))])
    m.veil(lambda k: k.oval(x - r * 0.1, y - r * 0.72, r * 0.5, r * 0.2), (232, 196, 92), 0.6, r * 0.12, inside=True)
    m.veil(lambda k: k.oval(x - r * 0.5, y - r * 0.3, r * 0.12, r * 0.3), (255, 255, 255), 0.6, r * 0.07, inside=True)
    m.line(curve((x, y - r * 0.66), (x, y - r * 0.95), (x + r * 0.16, y - r * 1.12)), (98, 72, 42), r * 0.08)
    leaf(m, x + r * 0.04, y - r * 0.86, r * 0.72, r * 0.3, 24, (104, 142, 66), -24)


def apple_ring(m: Layer, x: float, y: float, r: float) -> None:
    m.oval(x, y, r, r * 0.62, (190, 70, 52))
    m.oval(x, y - r * 0.03, r * 0.93, r * 0.56, (246, 228, 184))
    m.oval(x, y - r * 0.03, r * 0.78, r * 0.45, (250, 238, 204))
    for k in range(5):
        a = math.radians(k * 72 - 90)
        m.oval(x + r * 0.17 * math.cos(a), y + r * 0.1 * math.sin(a) - r * 0.03, r * 0.07, r * 0.05, (150, 96, 54))


def hibiscus(m: Layer, x: float, y: float, r: float, turn: float = 0) -> None:
    for k in range(5):
        leaf(m, x, y, r, r * 0.5, turn + k * 72, (142, 26, 52), 18, 0, 1.1, 3)
    m.dot(x, y, r * 0.16, (92, 14, 34))


def clover(m: Layer, x: float, y: float, r: float, colour: Colour = (206, 122, 158), seed: int = 0) -> None:
    rnd = random.Random(seed)
    m.dot(x, y, r * 0.8, dark(colour, 0.12))
    for k in range(110):
        a, d = rnd.uniform(0, 360), r * (1.0 - 0.9 * k / 110)
        px, py = polar(x, y + r * 0.25, a, d * 0.55)
        out = math.degrees(math.atan2(y + r * 0.6 - py, px - x))
        leaf(m, px, py, r * 0.5, r * 0.17, out, mix(colour, light(colour, 0.62), rnd.random()), veins=0)


def rosemary(m: Layer, x: float, y: float, angle: float, length: float, colour: Colour = (92, 118, 84), bend: float = 14) -> None:
    top = polar(x, y, angle + bend, length)
    stem = curve((x, y), polar(x, y, angle, length * 0.55), top)
    m.line(stem, (118, 100, 70), length * 0.018, length * 0.008)
    for k in range(22):
        t = 0.1 + 0.88 * k / 22
        px, py = stem[round(t * 24)]
        long = length * 0.19 * (1.05 - 0.45 * t)
        for side in (1, -1):
            leaf(m, px, py, long, long * 0.17, angle + bend * t * 1.6 + side * 40, light(colour, 0.1 * (k % 3)), -side * 14, veins=0)


def thyme(m: Layer, x: float, y: float, angle: float, length: float, flowers: bool = True, bend: float = -16) -> None:
    stem = curve((x, y), polar(x, y, angle, length * 0.55), polar(x, y, angle + bend, length))
    m.line(stem, (130, 104, 78), length * 0.014, length * 0.007)
    for k in range(15):
        t = 0.08 + 0.9 * k / 15
        px, py = stem[round(t * 24)]
        for side in (1, -1):
            leaf(m, px, py, length * 0.085, length * 0.044, angle + side * 48, (124, 146, 74) if k % 2 else (146, 164, 92), veins=0)
    if flowers:
        r = random.Random(round(x + y))
        for _ in range(11):
            px, py = stem[-1][0] + r.uniform(-1, 1) * length * 0.06, stem[-1][1] + r.uniform(-0.9, 0.9) * length * 0.06
            m.dot(px, py, length * 0.017, r.choice([(178, 140, 190), (204, 172, 212)]))


def fir(m: Layer, x: float, y: float, angle: float, length: float, colour: Colour = (62, 94, 72)) -> None:
    stem = curve((x, y), polar(x, y, angle, length * 0.5), polar(x, y, angle - 12, length))
    m.line(stem, (102, 80, 56), length * 0.026, length * 0.01)
    for k in range(34):
        t = k / 34
        px, py = stem[round(t * 24)]
        long = length * 0.2 * (1.1 - 0.7 * t)
        for side in (1, -1):
            m.line([(px, py), polar(px, py, angle - 12 * t + side * 44, long)], mix(colour, light(colour, 0.3), (k % 4) / 4), length * 0.011, 0.6)


def bee(m: Layer, x: float, y: float, s: float, angle: float = 0) -> None:
    b = Layer(s * 3, s * 2.4, k=m.k)
    cx, cy = s * 1.5, s * 1.4
    b.veil(lambda k: (k.oval(cx - s * 0.12, cy - s * 0.62, s * 0.26, s * 0.5), k.oval(cx + s * 0.34, cy - s * 0.56, s * 0.22, s * 0.44)), (226, 236, 240), 0.85)
    b.fill(lambda k: k.oval(cx, cy, s * 0.78, s * 0.42), [(0, (240, 190, 66)), (1, (196, 132, 28))], across=False)
    stripes = b.mask(lambda k: [k.oval(cx + dx * s, cy, s * 0.09, s * 0.44, (0, 0, 0)) for dx in (-0.5, -0.2, 0.1)])
    b.im.paste((58, 42, 26, 255), (0, 0), ImageChops.multiply(stripes, b.im.getchannel("A")))
    b.dot(cx + s * 0.68, cy - s * 0.02, s * 0.27, (66, 48, 30))
    b.line(curve((cx + s * 0.8, cy - s * 0.2), (cx + s * 1.0, cy - s * 0.5), (cx + s * 1.12, cy - s * 0.42)), (66, 48, 30), s * 0.05)
    m.put(b, x, y + s * 1.2, angle=angle or 0.01)


# Each decoration draws one plant in a box of 100 by 100, standing on its lower edge.
def deco_verbena(m: Layer) -> None:
    sprig(m, 50, 99, 90, 74, 6, 44, 0.24, (122, 160, 78), 48, 0, seed=3)


def deco_mint(m: Layer) -> None:
    sprig(m, 50, 99, 90, 74, 5, 39, 0.56, (70, 128, 84), 58, 0, teeth=9, seed=5)


def deco_evening(m: Layer) -> None:
    heart_leaf(m, 42, 62, 40, 150, (116, 148, 84))
    linden(m, 60, 30, 58, -100, 2)
    for x, y, r in ((30, 34, 17), (62, 18, 13)):
        m.line(curve((x, y), (x + 6, y + 30), (50, 98)), (124, 146, 84), 1.6)
        daisy(m, x, y, r, round(x))


def deco_orange(m: Layer) -> None:
    for a, c in ((20, (58, 104, 70)), (150, (70, 116, 76)), (75, (64, 110, 72)), (-20, (76, 122, 80)), (205, (62, 106, 70))):
        leaf(m, 50, 58, 44, 18, a, c)
    blossom(m, 52, 48, 27, 18)
    blossom(m, 28, 74, 17, 40)
    blossom(m, 78, 78, 14, 5)


def deco_fruit(m: Layer) -> None:
    leaf(m, 48, 40, 42, 26, 140, (96, 136, 72), teeth=8)
    leaf(m, 52, 40, 40, 24, 40, (112, 148, 80), teeth=8)
    currants(m, 70, 34, 56, (176, 30, 48), 4)
    apple(m, 36, 66, 26)
    currants(m, 86, 44, 40, (74, 32, 62), 6)


def deco_morning(m: Layer) -> None:
    leaf(m, 50, 96, 66, 22, 122, (146, 162, 134), -14, veins=8)
    leaf(m, 52, 96, 58, 20, 62, (158, 172, 146), 14, veins=8)
    rosemary(m, 48, 98, 100, 88, bend=-6)
    thyme(m, 56, 98, 74, 82)
    thyme(m, 42, 98, 116, 64)


def deco_linden(m: Layer) -> None:
    heart_leaf(m, 48, 44, 46, 152, (110, 144, 80))
    heart_leaf(m, 56, 40, 38, 30, (128, 158, 92))
    linden(m, 50, 26, 68, -94, 7)


def deco_meadow(m: Layer) -> None:
    for x, y, a in ((28, 34, 8), (54, 18, 0), (78, 40, -8)):
        m.line(curve((x, y), (x + a, y + 40), (50, 98)), (116, 146, 82), 1.8)
    for x, a in ((44, 150), (54, 34), (48, 112)):
        leaf(m, x, 92, 34, 12, a, (122, 154, 88))
    clover(m, 28, 34, 13, seed=1)
    clover(m, 78, 40, 12, (214, 138, 170), 2)
    daisy(m, 54, 18, 16, 4)


def deco(draw: Callable[[Layer], None], scale: float, k: float) -> Layer:
    """One decoration, drawn as large as it will be shown: place it with the same `scale`."""
    m = Layer(100, 100, k=k * scale)
    draw(m)
    return m


# --- things -----------------------------------------------------------------------------------------------


def emblem(m: Layer, x: float, y: float, size: float, colour: Colour) -> None:
    """The house mark: two leaves and a drop over a low wall."""
    leaf(m, x, y, size * 0.62, size * 0.30, 128, colour, -16, veins=0)
    leaf(m, x, y, size * 0.62, size * 0.30, 52, light(colour, 0.2), 16, veins=0)
    leaf(m, x, y, size * 0.80, size * 0.26, 90, dark(colour, 0.12), 0, veins=0)
    m.line([(x, y + size * 0.16), (x, y - size * 0.2)], colour, size * 0.035)
    for k in range(3):
        w = size * (0.30 - 0.06 * k)
        m.line([(x - w, y + size * (0.18 + 0.07 * k)), (x + w, y + size * (0.18 + 0.07 * k))], colour, size * 0.03)


def label(m: Layer, x: float, y: float, w: float, h: float, name: str, under: str, net: str, tone: Colour, plant: Callable[[Layer], None]) -> None:
    """A paper label by its top left corner."""
    m.d.rounded_rectangle([v * m.k for v in (x, y, x + w, y + h)], radius=w * 0.04 * m.k, fill=(252, 249, 240, 255))
    inset = w * 0.035
    m.d.rounded_rectangle(
        [v * m.k for v in (x + inset, y + inset, x + w - inset, y + h - inset)],
        radius=w * 0.03 * m.k, outline=(*mix(tone, CREAM, 0.35), 255), width=max(1, round(w * 0.006 * m.k)),
    )  # fmt: skip
    u = min(w, h * 0.80)
    m.text(x + w / 2, y + u * 0.145, "LES TISANES DU", SANS, u * 0.042, dark(tone, 0.25), u * 0.012)
    m.text(x + w / 2, y + u * 0.250, "Clos Verdier", ITALIC, u * 0.115, dark(tone, 0.25))
    size = min(w * 0.86, h - u * 0.66) / 100
    m.put(deco(plant, size, m.k), x + w / 2, y + h - u * 0.345, scale=size)
    m.text(x + w / 2, y + h - u * 0.235, name, BOLD, u * 0.108, dark(tone, 0.35), fit=w * 0.84)
    m.text(x + w / 2, y + h - u * 0.155, under, ITALIC, u * 0.064, mix(INK, tone, 0.3), fit=w * 0.84)
    m.text(x + w / 2, y + h - u * 0.078, net, SANS, u * 0.044, mix(INK, tone, 0.3), u * 0.006)


def pouch(name: str, under: str, net: str, tone: Colour, plant: Callable[[Layer], None]) -> Layer:
    m = Layer(340, 470, k=FINE)

    def body(k: Layer) -> None:
        left = curve((22, 6), (4, 150), (8, 330), (14, 458))
        bottom = curve((14, 458), (120, 472), (220, 472), (326, 458))
        k.poly([*left, *bottom, *[(340 - x, y) for x, y in left[::-1]]])

    m.fill(body, [(0, dark(KRAFT, 0.24)), (0.09, light(KRAFT, 0.06)), (0.3, light(KRAFT, 0.24)), (0.62, KRAFT), (0.92, dark(KRAFT, 0.13)), (1, dark(KRAFT, 0.34))])
    r = random.Random(name)
    for _ in range(420):  # the fibres of kraft paper
        x, y, a = r.uniform(20, 320), r.uniform(10, 455), r.uniform(0, 180)
        m.line([(x, y), polar(x, y, a, r.uniform(2, 6))], mix(KRAFT, (132, 98, 60) if r.random() < 0.5 else (236, 214, 180), 0.45), 0.5)
    m.veil(lambda k: k.rect(0, 0, 340, 40), (120, 86, 50), 0.20, inside=True)
    for y in (12, 17, 22, 27, 32):
        m.line([(23, y), (317, y)], dark(KRAFT, 0.22), 0.8)
    m.line([(18, 62), (322, 62)], dark(KRAFT, 0.28), 1.4)
    m.line([(18, 65), (322, 65)], light(KRAFT, 0.35), 1.2)
    m.veil(lambda k: k.poly([(8, 420), *curve((8, 420), (100, 446), (240, 446), (332, 420)), (332, 470), (8, 470)]), (90, 62, 34), 0.26, 5, inside=True)
    m.veil(lambda k: k.poly([(40, 74), (64, 74), (44, 410), (30, 410)]), (255, 246, 226), 0.40, 9, inside=True)
    m.veil(lambda k: k.poly([(296, 74), (306, 74), (316, 420), (300, 420)]), (90, 62, 34), 0.30, 8, inside=True)
    label(m, 52, 92, 236, 306, name, under, net, tone, plant)
    m.veil(lambda k: k.poly([(52, 404), (52, 398), (288, 398), (288, 404)]), (70, 48, 26), 0.35, 3)
    m.veil(lambda k: k.poly([(200, 92), (288, 92), (288, 398), (240, 398)]), (80, 60, 34), 0.10, 14, inside=True)
    return m


def tin(name: str, under: str, net: str, tone: Colour, plant: Callable[[Layer], None]) -> Layer:
    m = Layer(320, 400, k=FINE)
    shine = [(0, dark(tone, 0.45)), (0.12, tone), (0.27, light(tone, 0.42)), (0.4, light(tone, 0.06)), (0.75, dark(tone, 0.18)), (1, dark(tone, 0.55))]

    def side(top: float, bottom: float, rx: float, ry: float) -> Callable[[Layer], None]:
        return lambda k: k.poly([*arc(160, top, rx, ry, 180, 0), *arc(160, bottom, rx, ry, 0, 180)])

    m.fill(side(92, 366, 148, 26), shine)
    m.veil(lambda k: k.line(arc(160, 360, 147, 26, 180, 0), INK, 2.5), (20, 20, 14), 0.35, 1.5, inside=True)
    m.fill(side(44, 104, 154, 27), shine)
    m.fill(lambda k: k.oval(160, 44, 154, 27), [(0, light(tone, 0.1)), (0.5, light(tone, 0.45)), (1, dark(tone, 0.1))])
    m.fill(lambda k: k.oval(160, 43, 142, 23), [(0, dark(tone, 0.06)), (0.5, light(tone, 0.3)), (1, dark(tone, 0.16))])
    m.line(arc(160, 104, 154, 27, 180, 0), dark(tone, 0.5), 1.4)
    m.line(arc(160, 98, 154, 27, 180, 0), light(tone, 0.3), 1)
    emblem(m, 160, 45, 30, light(tone, 0.62))
    paper = Layer(320, 400, k=m.k)
    label(paper, 52, 128, 216, 234, name, under, net, tone, plant)
    # The label follows the tin: each column of it drops a little towards the middle.
    for column in range(round(52 * m.k), round(268 * m.k)):
        t = (column / m.k - 160) / 148
        drop = 22 * (math.sqrt(max(0, 1 - t * t)) - 0.72)
        strip = paper.im.crop((column, 0, column + 1, paper.im.height))
        m.im.alpha_composite(strip, (column, max(0, round(drop * m.k))))
    m.veil(lambda k: k.poly([(215, 90), (320, 90), (320, 400), (262, 400)]), (20, 20, 14), 0.22, 22, inside=True)
    m.veil(lambda k: k.rect(70, 118, 92, 372), (255, 255, 255), 0.34, 9, inside=True)
    return m


def jar(name: str, under: str, net: str, honey: Colour, plant: Callable[[Layer], None], tall: float = 330, lid: Colour = (196, 158, 84)) -> Layer:
    m = Layer(300, tall + 60, k=FINE)
    top, bottom = 66, tall + 52

    def glass(k: Layer) -> None:
        k.block(14, top, 286, bottom, 40)

    def inner(k: Layer) -> None:
        k.block(22, top + 20, 278, bottom - 9, 34)

    m.fill(glass, [(0, (196, 190, 172)), (0.08, (240, 236, 222)), (0.5, (250, 247, 238)), (0.93, (226, 220, 202)), (1, (176, 168, 146))])
    m.fill(inner, [(0, dark(honey, 0.40)), (0.13, honey), (0.32, light(honey, 0.30)), (0.55, light(honey, 0.08)), (0.86, dark(honey, 0.10)), (1, dark(honey, 0.42))])
    m.veil(lambda k: k.oval(150, bottom - 40, 110, 60), light(honey, 0.5), 0.55, 22, inside=True)
    m.veil(lambda k: k.oval(150, top + 22, 122, 7), light(honey, 0.55), 0.8, 1, inside=True)
    label(m, 48, top + 44, 204, bottom - top - 70, name, under, net, dark(honey, 0.25), plant)
    m.veil(lambda k: k.block(29, top + 34, 40, bottom - 46, 5), (255, 255, 255), 0.72, 2.4)
    m.veil(lambda k: k.block(262, top + 44, 268, bottom - 60, 3), (255, 255, 255), 0.45, 2)
    m.fill(lambda k: k.poly([*arc(150, 26, 122, 15, 180, 0), *arc(150, 72, 122, 15, 0, 180)]), [(0, dark(lid, 0.45)), (0.14, lid), (0.28, light(lid, 0.55)), (0.42, light(lid, 0.1)), (0.8, dark(lid, 0.16)), (1, dark(lid, 0.5))])
    m.fill(lambda k: k.oval(150, 26, 122, 15), [(0, light(lid, 0.1)), (0.45, light(lid, 0.5)), (1, lid)])
    m.fill(lambda k: k.oval(150, 25, 112, 12), [(0, dark(lid, 0.06)), (0.5, light(lid, 0.34)), (1, dark(lid, 0.08))])
    for k in range(44):
        a = math.radians(180 - k * 180 / 43)
        x = 150 + 121 * math.cos(a)
        y = 14 * math.sin(a)
        m.line([(x, 34 + y), (x, 68 + y)], dark(lid, 0.22), 0.7)
    return m


def dipper(length: float = 300) -> Layer:
    m = Layer(60, length, k=FINE)
    wood = [(0, (150, 104, 58)), (0.35, (222, 178, 120)), (1, (138, 94, 52))]
    m.fill(lambda k: k.poly([(26, 4), (34, 4), (33, length - 80), (27, length - 80)]), wood)
    for i in range(6):
        y = length - 84 + i * 14
        w = 24 - abs(i - 2.6) * 3.2
        m.fill(lambda k, y=y, w=w: k.block(30 - w, y, 30 + w, y + 9, 4.5), wood)
        m.line([(24, y + 11), (36, y + 11)], (120, 80, 44), 4)
    return m


GLAZE = (150, 174, 142)


def speckle(m: Layer, count: int, seed: int) -> None:
    """The iron dots of stoneware, only where there is stoneware."""
    r = random.Random(seed)
    dots = Layer(m.w, m.h, k=m.k)
    for _ in range(count):
        dots.dot(r.uniform(0, m.w), r.uniform(0, m.h), r.uniform(0.5, 1.5), (104, 96, 70))
    dots.im.putalpha(ImageChops.multiply(dots.im.getchannel("A").point(lambda v: round(v * 0.5)), m.im.getchannel("A")))
    m.im.alpha_composite(dots.im)


def teapot(glaze: Colour = GLAZE) -> Layer:
    m = Layer(560, 400, k=FINE)
    round_ = [(0, dark(glaze, 0.36)), (0.14, glaze), (0.34, light(glaze, 0.36)), (0.6, glaze), (1, dark(glaze, 0.46))]
    # Handle, spout, body, lid: from the back to the front.
    m.line(curve((128, 170), (10, 130), (4, 300), (150, 318), steps=48), dark(glaze, 0.34), 30, 26)
    m.line(curve((126, 168), (16, 132), (10, 294), (148, 312), steps=48), light(glaze, 0.06), 15, 13)
    spout = [*curve((396, 300), (470, 290), (464, 190), (520, 142)), *curve((548, 156), (520, 210), (520, 330), (380, 352))]
    m.fill(lambda k: k.poly(spout), [(0, dark(glaze, 0.26)), (0.5, light(glaze, 0.16)), (1, dark(glaze, 0.34))])
    m.poly(arc(534, 149, 15, 7, 0, 360), dark(glaze, 0.6))

    def body(k: Layer) -> None:
        right = curve((280 + 78, 128), (280 + 196, 150), (280 + 190, 372), (280 + 92, 392), steps=40)
        k.poly([*right, *[(560 - x, y) for x, y in right[::-1]]])

    m.fill(body, round_)
    m.veil(lambda k: k.rect(90, 330, 470, 400), dark(glaze, 0.75), 0.42, 20, inside=True)
    m.veil(lambda k: k.oval(222, 214, 32, 58), (255, 255, 255), 0.50, 18, inside=True)
    m.veil(lambda k: k.oval(280, 130, 96, 15), (20, 26, 16), 0.4, 5, inside=True)
    m.fill(lambda k: k.poly([*arc(280, 122, 90, 40, 180, 360), *arc(280, 122, 90, 13, 0, 180)]), round_)
    m.line(arc(280, 122, 90, 13, 180, 0), dark(glaze, 0.4), 1.6)
    m.veil(lambda k: k.oval(248, 102, 24, 10), (255, 255, 255), 0.55, 5, inside=True)
    m.fill(lambda k: k.dot(280, 68, 21), round_)
    m.fill(lambda k: k.poly([(268, 84), (292, 84), (296, 94), (264, 94)]), round_)
    m.veil(lambda k: k.dot(273, 60, 6), (255, 255, 255), 0.7, 2.5)
    speckle(m, 420, 4)
    return m


def cup(glaze: Colour = GLAZE, tea: Colour = (206, 178, 84), handle: bool = True) -> Layer:
    m = Layer(260, 170, k=FINE)
    shine = [(0, dark(glaze, 0.36)), (0.16, glaze), (0.36, light(glaze, 0.38)), (0.62, glaze), (1, dark(glaze, 0.44))]
    if handle:
        m.line(curve((196, 60), (262, 44), (262, 134), (178, 132), steps=40), dark(glaze, 0.3), 17, 15)
        m.line(curve((196, 58), (258, 46), (256, 128), (178, 127), steps=40), light(glaze, 0.1), 8, 7)
    m.fill(lambda k: k.poly([*curve((20, 34), (26, 130), (60, 166), (84, 166)), *curve((144, 166), (168, 166), (202, 130), (208, 34))]), shine)
    m.veil(lambda k: k.rect(20, 140, 210, 170), dark(glaze, 0.75), 0.36, 9, inside=True)
    m.oval(114, 34, 94, 21, light(glaze, 0.3))
    m.oval(114, 35, 87, 17, dark(glaze, 0.30))
    m.fill(lambda k: k.poly(arc(114, 38, 82, 14, 0, 360)), [(0, dark(tea, 0.14)), (0.4, light(tea, 0.22)), (1, dark(tea, 0.1))])
    m.veil(lambda k: k.oval(88, 36, 26, 4), (255, 255, 255), 0.5, 2, inside=True)
    speckle(m, 130, 8)
    return m


def steam(m: Layer, x: float, y: float, size: float) -> None:
    for dx, sway in ((-0.16, 1), (0.04, -1), (0.22, 1)):
        path = curve((x + dx * size, y), (x + (dx + 0.3 * sway) * size, y - 0.35 * size), (x + (dx - 0.3 * sway) * size, y - 0.65 * size), (x + (dx + 0.1 * sway) * size, y - size))
        m.veil(lambda k, p=path: k.line(p, INK, size * 0.09, size * 0.02), (255, 255, 255), 0.5, size * 0.035)


def infuser() -> Layer:
    m = Layer(330, 320, k=FINE)
    steel = (176, 182, 184)
    shine = [(0, dark(steel, 0.5)), (0.1, light(steel, 0.2)), (0.26, light(steel, 0.85)), (0.42, steel), (0.6, light(steel, 0.45)), (0.82, dark(steel, 0.2)), (1, dark(steel, 0.55))]
    for side in (0, 1):
        x = 44 if side == 0 else 286
        m.line(arc(x, 56, 38, 24, 90, 270) if side == 0 else arc(x, 56, 38, 24, -90, 90), dark(steel, 0.35), 9)
        m.line(arc(x, 54, 38, 24, 90, 270) if side == 0 else arc(x, 54, 38, 24, -90, 90), light(steel, 0.5), 4)
    m.fill(lambda k: k.poly([*arc(165, 56, 118, 24, 180, 0), *arc(165, 286, 104, 22, 0, 180)]), shine)
    mesh = Layer(330, 320, k=m.k)
    for row in range(38):
        for col in range(64):
            a = math.radians(180 * (col + 0.5 * (row % 2)) / 64)
            x = 165 - (114 - 12 * row / 38) * math.cos(a)
            y = 92 + row * 5.3 + 22 * math.sin(a)
            if y < 282 + 20 * math.sin(a):
                mesh.oval(x, y, max(0.4, 1.9 * math.sin(a)), 1.9, (62, 70, 66))
    m.im.alpha_composite(mesh.im)
    m.veil(lambda k: k.poly([(84, 80), (112, 80), (116, 300), (92, 300)]), (255, 255, 255), 0.42, 7, inside=True)
    m.fill(lambda k: k.poly([*arc(165, 56, 126, 26, 180, 0), *arc(165, 76, 124, 26, 0, 180)]), shine)
    m.oval(165, 56, 126, 26, light(steel, 0.55))
    m.oval(165, 57, 116, 21, (74, 84, 70))
    inside = Layer(330, 320, k=m.k)
    r = random.Random(12)
    for _ in range(120):
        leaf(inside, 165 + r.uniform(-108, 108), 62 + r.uniform(-15, 15), r.uniform(16, 34), r.uniform(5, 8), r.uniform(0, 360), mix((98, 140, 66), (160, 188, 104), r.random()), r.uniform(-30, 30), veins=0)
    for _ in range(7):
        daisy(inside, 165 + r.uniform(-80, 80), 58 + r.uniform(-9, 9), 9, r.randrange(99), 0.6)
    inside.im.putalpha(ImageChops.multiply(inside.im.getchannel("A"), inside.mask(lambda k: k.oval(165, 57, 116, 21))))
    m.im.alpha_composite(inside.im)
    m.line(arc(165, 57, 116, 21, 180, 360), dark(steel, 0.45), 1.6)
    return m


def lid() -> Layer:
    m = Layer(260, 90, k=FINE)
    steel = (176, 182, 184)
    shine = [(0, dark(steel, 0.5)), (0.14, light(steel, 0.3)), (0.3, light(steel, 0.85)), (0.5, steel), (0.75, light(steel, 0.3)), (1, dark(steel, 0.5))]
    m.fill(lambda k: k.poly([*arc(130, 56, 122, 24, 180, 0), *arc(130, 64, 122, 24, 0, 180)]), shine)
    m.fill(lambda k: k.oval(130, 56, 122, 24), [(0, light(steel, 0.1)), (0.4, light(steel, 0.75)), (1, light(steel, 0.05))])
    m.fill(lambda k: k.oval(130, 52, 92, 15), [(0, light(steel, 0.5)), (0.5, light(steel, 0.85)), (1, steel)])
    m.veil(lambda k: k.oval(134, 50, 26, 7), (20, 24, 22), 0.5, 3)
    m.fill(lambda k: k.poly([(118, 48), (142, 48), (140, 34), (120, 34)]), shine)
    m.fill(lambda k: k.oval(130, 28, 20, 13), shine)
    return m


def bow(m: Layer, x: float, y: float, size: float, colour: Colour) -> None:
    for side in (1, -1):
        tail = [(x, y), (x + side * size * 0.36, y + size * 0.62), (x + side * size * 0.20, y + size * 0.60), (x + side * size * 0.12, y + size * 0.72), (x - side * size * 0.02, y + size * 0.05)]
        m.poly(tail, dark(colour, 0.14))
    for side in (1, -1):
        loop = curve((x, y), (x + side * size * 0.3, y - size * 0.62), (x + side * size * 0.98, y - size * 0.36), (x + side * size * 0.62, y + size * 0.02), (x, y + size * 0.08))
        m.fill(lambda k, p=loop: k.poly(p), [(0, light(colour, 0.22)), (0.5, colour), (1, dark(colour, 0.28))] if side < 0 else [(0, dark(colour, 0.28)), (0.5, colour), (1, light(colour, 0.22))])
        hollow = curve((x + side * size * 0.1, y - size * 0.02), (x + side * size * 0.34, y - size * 0.36), (x + side * size * 0.68, y - size * 0.22), (x + side * size * 0.46, y - size * 0.02), (x + side * size * 0.1, y + size * 0.02))
        m.veil(lambda k, p=hollow: k.poly(p), dark(colour, 0.7), 0.5, size * 0.02)
    m.fill(lambda k: k.block(x - size * 0.11, y - size * 0.12, x + size * 0.11, y + size * 0.13, size * 0.06), [(0, dark(colour, 0.2)), (0.4, light(colour, 0.2)), (1, dark(colour, 0.3))])


def straw(m: Layer, x0: float, x1: float, y: float, seed: int) -> None:
    r = random.Random(seed)
    for _ in range(260):
        x, w = r.uniform(x0, x1), r.uniform(14, 40)
        yy = y + r.uniform(-14, 12)
        m.line(curve((x - w, yy + r.uniform(0, 9)), (x, yy - r.uniform(4, 26)), (x + w, yy + r.uniform(0, 9)), steps=8), mix((222, 190, 130), (250, 232, 186), r.random()) if r.random() < 0.8 else (178, 142, 88), 1.7)


def box(w: float, h: float, base: Colour, ribbon: Colour, planks: int = 0, title: str = "") -> Layer:
    """The front of an open box: what peeps out of it is placed before."""
    m = Layer(w, h, k=FINE)
    m.fill(lambda k: k.poly([(0, 6), (w, 6), (w - 8, h), (8, h)]), [(0, dark(base, 0.2)), (0.2, light(base, 0.16)), (0.6, base), (1, dark(base, 0.26))])
    r = random.Random(round(w))
    if planks:
        for i in range(planks):
            y0, y1 = 6 + (h - 6) * i / planks, 6 + (h - 6) * (i + 1) / planks
            for _ in range(16):
                y = r.uniform(y0 + 4, y1 - 4)
                m.line(curve((10, y), (w * 0.3, y + r.uniform(-9, 9)), (w * 0.7, y + r.uniform(-9, 9)), (w - 10, y)), mix(base, dark(base, 0.4), r.uniform(0.1, 0.45)), 0.9)
            m.line([(4, y1), (w - 4, y1)], dark(base, 0.5), 2.4)
            m.line([(4, y0 + 2), (w - 4, y0 + 2)], light(base, 0.4), 1.3)
            for x in (22, w - 22):
                m.dot(x, (y0 + y1) / 2, 3, dark(base, 0.45))
    else:
        for _ in range(700):
            x, y, a = r.uniform(8, w - 8), r.uniform(10, h - 2), r.uniform(0, 180)
            m.line([(x, y), polar(x, y, a, r.uniform(2, 6))], mix(base, (132, 98, 60) if r.random() < 0.5 else (236, 214, 180), 0.4), 0.5)
    m.line([(0, 7), (w, 7)], light(base, 0.45), 3.5)
    m.veil(lambda k: k.rect(0, h * 0.72, w, h), dark(base, 0.8), 0.26, 16, inside=True)
    if title:
        m.text(w * 0.5, h * 0.40, "Clos Verdier", ITALIC, h * 0.20, dark(base, 0.62))
        m.text(w * 0.5, h * 0.57, title.upper(), SANS, h * 0.072, dark(base, 0.55), h * 0.022)
        emblem(m, w * 0.5, h * 0.76, h * 0.2, dark(base, 0.55))
    if ribbon:
        m.fill(lambda k: k.poly([(w * 0.13 - 14, 6), (w * 0.13 + 14, 6), (w * 0.13 + 13, h), (w * 0.13 - 13, h)]), [(0, dark(ribbon, 0.2)), (0.4, light(ribbon, 0.16)), (1, dark(ribbon, 0.2))])
    return m


# --- scenes -----------------------------------------------------------------------------------------------


def backdrop(w: float, h: float, wall: Colour, table: Colour, edge: float = 0.72, seed: int = 1) -> Layer:
    """A wall in soft light above a table."""
    m = Layer(w, h, wall)
    m.fill(lambda k: k.rect(0, 0, w, h), [(0, dark(wall, 0.10)), (edge, light(wall, 0.30)), (1, wall)], across=False)
    m.veil(lambda k: k.oval(w * 0.36, h * 0.34, w * 0.34, h * 0.34), (255, 252, 240), 0.62, w * 0.10)
    r = random.Random(seed)
    leaves = Layer(w, h)
    for _ in range(9):
        x, y = r.choice([r.uniform(-0.05, 0.2), r.uniform(0.8, 1.05)]) * w, r.uniform(0, 0.5) * h
        leaf(leaves, x, y, r.uniform(0.16, 0.3) * h, r.uniform(0.05, 0.09) * h, r.uniform(0, 360), dark(wall, 0.16), 20, veins=0)
    m.put(leaves, w / 2, h, blur=9, opacity=0.42)
    y = h * edge
    m.fill(lambda k: k.rect(0, y, w, h), [(0, dark(table, 0.16)), (0.25, table), (1, light(table, 0.22))], across=False)
    m.veil(lambda k: k.rect(0, y - 2, w, y + 2), dark(table, 0.6), 0.35, 3)
    grain = random.Random(seed + 7)
    for _ in range(46):
        gy = y + 6 + (h - y) * grain.random() ** 1.6
        gx = grain.uniform(-0.2, 0.9) * w
        m.line(curve((gx, gy), (gx + w * 0.2, gy + grain.uniform(-4, 4)), (gx + w * grain.uniform(0.2, 0.6), gy)), mix(table, dark(table, 0.5), grain.uniform(0.08, 0.25)), 0.8)
    return m


def scatter(m: Layer, spots: Iterable[tuple[float, float]], draw: Callable[[Layer, float, float, random.Random], None], seed: int = 3) -> None:
    """Small plants lying on the table, each with its shadow."""
    r = random.Random(seed)
    over = Layer(m.w, m.h)
    for x, y in spots:
        draw(over, x, y, r)
    m.put(over, m.w / 2, m.h, shadow=0.40, lift=4)


def small_leaf(c: Colour, slim: float = 0.26, size: float = 58, teeth: int = 0) -> Callable[[Layer, float, float, random.Random], None]:
    def draw(m: Layer, x: float, y: float, r: random.Random) -> None:
        a = r.choice([r.uniform(-35, 35), r.uniform(145, 215)])
        leaf(m, x, y, size * r.uniform(0.75, 1.15), size * slim, a, mix(c, light(c, 0.25), r.random()), r.uniform(-25, 25), teeth)
    return draw


def small_daisy(m: Layer, x: float, y: float, r: random.Random) -> None:
    daisy(m, x, y, r.uniform(19, 27), r.randrange(99), 0.72)


def small_berry(m: Layer, x: float, y: float, r: random.Random) -> None:
    ball(m, x, y, r.uniform(11, 15), r.choice([(176, 30, 48), (74, 32, 62), (190, 44, 52)]))


def small_linden(m: Layer, x: float, y: float, r: random.Random) -> None:
    linden(m, x, y, r.uniform(70, 92), r.choice([r.uniform(-28, 12), r.uniform(170, 205)]), r.randrange(99))


def small_clover(m: Layer, x: float, y: float, r: random.Random) -> None:
    m.line(curve((x, y), (x + 24, y + 12), (x + 58, y + 10)), (116, 146, 82), 3.4)
    clover(m, x, y, r.uniform(17, 22), (206, 122, 158) if r.random() < 0.7 else (232, 208, 216), r.randrange(99))


def small_blossom(m: Layer, x: float, y: float, r: random.Random) -> None:
    leaf(m, x, y, 52, 20, r.choice([20, 160, 200]), (66, 112, 74))
    blossom(m, x, y, r.uniform(24, 32), r.uniform(0, 72))


def small_ring(m: Layer, x: float, y: float, r: random.Random) -> None:
    apple_ring(m, x, y, r.uniform(34, 42))


def stand(m: Layer, thing: Layer, x: float, y: float, scale: float = 1, wide: float = 0, depth: float = 0, flip: bool = False) -> None:
    m.ground(x, y, (wide or thing.w * 0.47) * scale, depth=depth * scale)
    box = thing.im.getbbox()
    empty = thing.h - (box[3] / thing.k if box else 0)
    m.put(thing, x, y + 2 + empty * scale, scale=scale, flip=flip)


def the_pouches() -> dict[str, Layer]:
    return {
        "verbena": pouch("Verveine citronnelle", "feuilles entières", "40 g", (110, 140, 60), deco_verbena),
        "mint": pouch("Menthe des haies", "douce et poivrée", "30 g", (44, 112, 84), deco_mint),
        "fruit": pouch("Verger rouge", "pomme, cassis, hibiscus, groseille", "100 g", (160, 40, 58), deco_fruit),
        "morning": pouch("Matin vif", "thym citron, romarin, sauge", "40 g", (112, 116, 74), deco_morning),
    }


def summer_tin() -> Layer:
    return tin("Soir d'été", "tilleul, camomille, mélisse", "50 g", (196, 146, 66), deco_evening)


def night_tin() -> Layer:
    return tin("Nuit calme", "fleur d'oranger, tilleul, verveine", "50 g", (54, 74, 108), deco_orange)


def linden_jar() -> Layer:
    return jar("Miel de tilleul", "récolte de juillet", "250 g", (222, 160, 48), deco_linden, 300)


def meadow_jar() -> Layer:
    return jar("Miel de fleurs", "des prés, crémeux", "500 g", (234, 200, 124), deco_meadow, 390, (226, 218, 198))


def discovery_box() -> Layer:
    m = Layer(600, 620, k=FINE)
    pouches = the_pouches()
    m.put(pouches["verbena"], 150, 500, scale=0.80, angle=5, shadow=0.35)
    m.put(pouches["fruit"], 450, 500, scale=0.80, angle=-5, shadow=0.35)
    m.put(pouches["mint"], 300, 508, scale=0.84, shadow=0.4)
    straw(m, 40, 560, 408, 5)
    front = box(560, 210, KRAFT, (92, 124, 84), 0, "Coffret découverte")
    bow(front, 73, 62, 84, (92, 124, 84))
    m.put(front, 300, 616, shadow=0.25, lift=4)
    return m


def winter_box() -> Layer:
    m = Layer(680, 600, k=FINE)
    for x, a, s in ((70, 118, 210), (110, 98, 230), (610, 62, 220), (570, 82, 240)):
        fir(m, x, 430, a, s)
    m.put(summer_tin(), 176, 470, scale=0.80, shadow=0.35)
    m.put(night_tin(), 504, 470, scale=0.80, shadow=0.35)
    m.put(linden_jar(), 340, 474, scale=0.86, shadow=0.4)
    straw(m, 40, 640, 396, 9)
    for x in (60, 90, 596, 622):
        ball(m, x, 386 + (x % 17), 12, (176, 36, 44))
    front = box(640, 210, (208, 174, 126), (164, 44, 44), 3, "Hiver au clos")
    bow(front, 83, 62, 88, (164, 44, 44))
    m.put(front, 340, 596, shadow=0.25, lift=4)
    return m


TABLE, SLATE, LINEN = (222, 196, 158), (150, 140, 124), (236, 226, 206)


def product_verbena() -> Layer:
    m = backdrop(800, 800, (226, 232, 206), TABLE, seed=2)
    back = Layer(800, 800)
    sprig(back, 690, 690, 70, 380, 9, 120, 0.22, (122, 160, 78), 48, 30, seed=8)
    sprig(back, 110, 690, 112, 330, 8, 110, 0.22, (136, 170, 88), 48, -34, seed=9)
    m.put(back, 400, 800, shadow=0.22, lift=10)
    stand(m, the_pouches()["verbena"], 400, 706, 1.32, 160, 9)
    scatter(m, [(150, 728), (640, 742), (236, 762), (560, 764), (700, 708), (90, 770)], small_leaf((122, 160, 78), 0.24, 74))
    return m


def product_mint() -> Layer:
    m = backdrop(800, 800, (208, 228, 218), (226, 214, 190), seed=4)
    back = Layer(800, 800)
    sprig(back, 120, 700, 108, 330, 7, 124, 0.56, (70, 128, 84), 58, -24, 9, seed=2)
    sprig(back, 700, 700, 74, 290, 6, 116, 0.56, (82, 140, 94), 58, 22, 9, seed=6)
    m.put(back, 400, 800, shadow=0.22, lift=10)
    stand(m, the_pouches()["mint"], 400, 706, 1.32, 160, 9)
    scatter(m, [(170, 748), (610, 746), (250, 770), (680, 722)], small_leaf((70, 128, 84), 0.52, 70, 8))
    return m


def product_summer() -> Layer:
    m = backdrop(800, 800, (244, 226, 186), (226, 200, 156), seed=6)
    stand(m, summer_tin(), 400, 712, 1.55, 148, 24)
    scatter(m, [(120, 700), (664, 716), (700, 758)], small_linden, 4)
    scatter(m, [(150, 752), (210, 728), (612, 752), (250, 770), (80, 762), (560, 772)], small_daisy, 2)
    return m


def product_night() -> Layer:
    m = backdrop(800, 800, (176, 190, 212), (158, 148, 146), seed=8)
    m.veil(lambda k: k.dot(642, 140, 62), (252, 250, 236), 0.5, 26)
    m.veil(lambda k: k.dot(642, 140, 46), (254, 251, 236), 0.9, 1)
    stand(m, night_tin(), 400, 712, 1.55, 148, 24)
    scatter(m, [(140, 726), (650, 738), (220, 764), (584, 770), (716, 700), (84, 766)], small_blossom, 5)
    return m


def product_fruit() -> Layer:
    m = backdrop(800, 800, (246, 220, 212), (226, 196, 168), seed=10)
    stand(m, the_pouches()["fruit"], 400, 700, 1.30, 160, 9)
    front = Layer(800, 800)
    currants(front, 640, 600, 130, (176, 30, 48), 3)
    apple(front, 690, 690, 62)
    apple(front, 118, 676, 58, (206, 84, 52))
    for x, y, t in ((210, 748, 10), (582, 752, 50)):
        hibiscus(front, x, y, 38, t)
    m.ground(690, 744, 54, 0.34)
    m.ground(118, 726, 50, 0.34)
    m.put(front, 400, 800, shadow=0.3, lift=5)
    scatter(m, [(300, 770), (262, 718), (160, 770), (516, 772), (634, 762), (560, 716), (740, 768)], small_berry, 7)
    scatter(m, [(78, 758), (690, 778)], small_ring, 2)
    return m


def product_morning() -> Layer:
    m = backdrop(800, 800, (232, 226, 200), (196, 170, 134), seed=12)
    back = Layer(800, 800)
    rosemary(back, 690, 700, 76, 380, bend=20)
    thyme(back, 650, 706, 66, 300)
    rosemary(back, 116, 704, 104, 340, bend=-20)
    leaf(back, 150, 700, 230, 74, 122, (150, 166, 138), -20, veins=9)
    thyme(back, 84, 706, 112, 250, bend=10)
    m.put(back, 400, 800, shadow=0.22, lift=10)
    stand(m, the_pouches()["morning"], 400, 706, 1.32, 160, 9)
    scatter(m, [(170, 752), (640, 744), (600, 772), (246, 770)], small_leaf((150, 166, 138), 0.32, 78))
    return m


def product_linden_honey() -> Layer:
    m = backdrop(800, 800, (250, 232, 186), (214, 180, 132), seed=14)
    back = Layer(800, 800)
    for x, y, a, s in ((40, 60, -28, 150), (110, 10, -58, 150), (200, -10, -80, 120)):
        heart_leaf(back, x, y, s, a, (118, 148, 84))
    for x, y in ((70, 120), (160, 70), (240, 30)):
        linden(back, x, y, 150, -84, x)
    m.put(back, 400, 800, shadow=0.16, lift=14)
    stand(m, linden_jar(), 390, 712, 1.55, 138)
    m.put(dipper(330), 690, 730, angle=-38, shadow=0.4, lift=6)
    scatter(m, [(110, 716), (178, 760)], small_linden, 3)
    bee(m, 632, 250, 30, 12)
    bee(m, 706, 350, 20, -14)
    return m


def product_meadow_honey() -> Layer:
    m = backdrop(800, 800, (222, 232, 226), (224, 202, 166), seed=16)
    stand(m, meadow_jar(), 400, 712, 1.36, 138)
    side = Layer(800, 800)
    for x, y, a in ((650, 470, 30), (716, 520, 16), (600, 560, 34)):
        side.line(curve((x, y), (x - a, y + 120), (664, 726)), (116, 146, 82), 4)
        clover(side, x, y, 34, seed=x)
    daisy(side, 690, 600, 38, 5)
    side.line(curve((690, 636), (690, 700), (664, 726)), (116, 146, 82), 4)
    for a in (24, 150, 100):
        leaf(side, 664, 726, 90, 30, a, (122, 154, 88))
    m.put(side, 400, 800, shadow=0.28, lift=8)
    scatter(m, [(120, 724), (196, 760)], small_clover, 5)
    scatter(m, [(170, 706), (90, 768), (262, 770)], small_daisy, 8)
    bee(m, 130, 300, 26, 10)
    return m


def product_teapot() -> Layer:
    m = backdrop(800, 800, (232, 224, 208), (206, 176, 136), seed=18)
    stand(m, teapot(), 388, 660, 1.22, 150)
    stand(m, cup(), 634, 742, 0.82, 84)
    steam(m, 622, 606, 150)
    scatter(m, [(110, 716), (186, 742), (290, 752), (420, 768)], small_leaf((122, 160, 78), 0.24, 70), 6)
    scatter(m, [(148, 764), (250, 712)], small_daisy, 6)
    return m


def product_infuser() -> Layer:
    m = backdrop(800, 800, (218, 226, 222), (190, 180, 162), seed=20)
    stand(m, infuser(), 350, 690, 1.48, 104, 20)
    stand(m, lid(), 620, 752, 1.05, 120, 20)
    scatter(m, [(110, 738), (196, 764), (340, 770), (470, 744), (700, 690)], small_leaf((110, 150, 72), 0.3, 64), 6)
    scatter(m, [(146, 706), (280, 752)], small_daisy, 6)
    return m


def product_discovery() -> Layer:
    m = backdrop(800, 800, (230, 232, 214), (218, 190, 150), seed=22)
    stand(m, discovery_box(), 400, 726, 1.10, 270)
    scatter(m, [(90, 756), (690, 764), (600, 774)], small_leaf((122, 160, 78), 0.26, 70), 4)
    return m


def product_winter() -> Layer:
    m = backdrop(800, 800, (196, 208, 212), (166, 142, 116), seed=24)
    glow(m, 46, 4, (255, 244, 214))
    stand(m, winter_box(), 400, 676, 1.06, 310)
    for x in (560, 690):
        stand(m, cup((206, 196, 178), (190, 150, 70)), x, 764, 0.62, 84)
    sprigs = Layer(800, 800)
    fir(sprigs, 60, 776, 12, 210)
    m.put(sprigs, 400, 800, shadow=0.3, lift=5)
    scatter(m, [(90, 748), (160, 776), (236, 746), (262, 764)], lambda k, x, y, r: ball(k, x, y, 12, (176, 36, 44)), 4)
    return m


def glow(m: Layer, count: int, seed: int, colour: Colour, bottom: float = 0.62) -> None:
    """Lights out of focus."""
    r = random.Random(seed)
    for _ in range(count):
        x, y, size = r.uniform(0, m.w), r.uniform(0, bottom) * m.h, r.uniform(5, 20)
        m.veil(lambda k: k.dot(x, y, size), colour, r.uniform(0.12, 0.5), size * 0.16)


PRODUCTS: dict[str, Callable[[], Layer]] = {
    "produit-verveine-citronnelle.jpg": product_verbena,
    "produit-menthe-des-haies.jpg": product_mint,
    "produit-soir-d-ete.jpg": product_summer,
    "produit-nuit-calme.jpg": product_night,
    "produit-verger-rouge.jpg": product_fruit,
    "produit-matin-vif.jpg": product_morning,
    "produit-miel-de-tilleul.jpg": product_linden_honey,
    "produit-miel-de-fleurs-des-pres.jpg": product_meadow_honey,
    "produit-theiere-en-gres.jpg": product_teapot,
    "produit-panier-infuseur.jpg": product_infuser,
    "produit-coffret-decouverte.jpg": product_discovery,
    "produit-coffret-hiver-au-clos.jpg": product_winter,
}


# --- land, logo, and the pictures of pages, posts and categories --------------------------------------------


def sky(w: float, h: float, top: Colour, low: Colour, sun: Point | None = None, warm: Colour = (255, 240, 200)) -> Layer:
    m = Layer(w, h, low)
    m.fill(lambda k: k.rect(0, 0, w, h), [(0, top), (0.62, low), (1, low)], across=False)
    if sun:
        m.veil(lambda k: k.dot(*sun, h * 0.30), warm, 0.75, h * 0.14)
        m.veil(lambda k: k.dot(*sun, h * 0.075), (255, 252, 236), 0.9, h * 0.006)
    r = random.Random(5)
    for _ in range(5):
        x, y, s = r.uniform(0, w), r.uniform(0.06, 0.30) * h, r.uniform(0.05, 0.10) * h
        m.veil(lambda k: [k.oval(x + dx * s, y + dy * s, s * q, s * q * 0.5) for dx, dy, q in ((-1.4, 0.1, 0.9), (0, -0.15, 1.3), (1.5, 0.1, 1.0), (0.2, 0.25, 1.8))], (255, 253, 246), 0.5, s * 0.22)
    return m


def hill(m: Layer, y: float, rise: float, colour: Colour, seed: int, waves: float = 2.2) -> None:
    r = random.Random(seed)
    a, b = r.uniform(0, 6.3), r.uniform(0, 6.3)
    line = [(m.w * i / 80, y - rise * (0.6 * math.sin(a + waves * i / 80 * 3.1) + 0.4 * math.sin(b + waves * 2.3 * i / 80 * 3.1))) for i in range(81)]
    m.fill(lambda k: k.poly([*line, (m.w, m.h), (0, m.h)]), [(0, light(colour, 0.16)), (0.4, colour), (1, dark(colour, 0.12))], across=False)
    for x, top in line[:: r.choice([5, 7])]:
        if r.random() < 0.7:
            for _ in range(r.randint(1, 4)):
                s = m.h * r.uniform(0.008, 0.018)
                m.oval(x + r.uniform(-14, 14), top - s * 0.4, s, s * 1.1, dark(colour, r.uniform(0.10, 0.24)))


def tree(m: Layer, x: float, y: float, size: float, colour: Colour, seed: int = 0) -> None:
    r = random.Random(seed)
    trunk = (104, 84, 62)
    m.poly([*curve((x - size * 0.075, y), (x - size * 0.03, y - size * 0.2), (x - size * 0.035, y - size * 0.5)), *curve((x + size * 0.035, y - size * 0.5), (x + size * 0.035, y - size * 0.2), (x + size * 0.08, y))], trunk)
    for side in (-1, 1):
        m.line(curve((x, y - size * 0.34), (x + side * size * 0.1, y - size * 0.46), (x + side * size * 0.2, y - size * 0.56)), trunk, size * 0.03, size * 0.014)
    for layer in range(3):
        for _ in range(90):
            a, d = r.uniform(0, 360), math.sqrt(r.random())
            px = x + math.cos(math.radians(a)) * d * size * 0.36
            py = y - size * 0.66 + math.sin(math.radians(a)) * d * size * 0.34
            lit = (0.5 - (px - x) / size - (py - y + size * 0.66) / size) * 0.5
            s = size * r.uniform(0.035, 0.065) * (1 - layer * 0.16)
            m.oval(px - layer * size * 0.02, py - layer * size * 0.025, s * 1.15, s, mix(dark(colour, 0.34), light(colour, 0.26), min(1, max(0, lit + 0.22 * layer - 0.10 + r.uniform(-0.08, 0.08)))))


def wall(m: Layer, x0: float, x1: float, y: float, h: float, seed: int, slope: float = 0) -> None:
    """Dry stone: courses of stones, no mortar."""
    r = random.Random(seed)
    m.poly([(x0, y), (x1, y + slope), (x1, y + h + slope), (x0, y + h)], (112, 104, 90))
    rows = max(2, round(h / 13))
    for row in range(rows):
        x = x0 - r.uniform(0, 20)
        while x < x1:
            w = r.uniform(16, 40)
            top = y + h * row / rows + slope * (x - x0) / max(1, x1 - x0)
            c = mix((176, 166, 146), (210, 200, 178), r.random())
            box = (max(x, x0) + 1, top + 1, min(x + w, x1) - 1, top + h / rows - 0.6)
            if box[2] - box[0] > 4:
                m.block(*box, 3.4, c)
                m.line([(box[0] + 3, box[1] + 1.6), (box[2] - 3, box[1] + 1.6)], light(c, 0.3), 1.3)
            x += w
    m.veil(lambda k: k.poly([(x0, y + h * 0.6), (x1, y + h * 0.6 + slope), (x1, y + h + slope), (x0, y + h)]), (50, 46, 34), 0.25, h * 0.12)


def rows(m: Layer, y0: float, y1: float, vanish: Point, colours: Sequence[Colour], soil: Colour, seed: int, count: int = 15) -> None:
    """Planted rows that run to a point, bush after bush, from the back to the front."""
    r = random.Random(seed)
    m.fill(lambda k: k.rect(0, y0, m.w, y1), [(0, light(soil, 0.2)), (1, soil)], across=False)
    steps = 46
    for i in range(steps):
        t = (i / (steps - 1)) ** 1.7
        y = y0 + (y1 + 20 - y0) * t
        near = (y - vanish[1]) / (y1 - vanish[1])
        for lane in range(-count, count + 1):
            x = vanish[0] + lane * m.w / count * 1.25 * near
            s = m.w / count * 0.36 * near
            if not -s < x < m.w + s:
                continue
            c = colours[lane % len(colours)]
            m.oval(x, y + s * 0.18, s * 1.05, s * 0.34, dark(soil, 0.34))
            for _ in range(7):
                px, py = x + r.uniform(-0.72, 0.72) * s, y - r.uniform(0.0, 0.62) * s
                m.oval(px, py, s * 0.34, s * 0.30, mix(dark(c, 0.30), light(c, 0.28), min(1, max(0, 0.45 - (py - y) / s * 0.7 + r.uniform(-0.2, 0.2)))))


def house(m: Layer, x: float, y: float, s: float) -> None:
    stone, roof = (226, 212, 184), (176, 106, 76)
    m.fill(lambda k: k.rect(x, y - s * 0.52, x + s, y), [(0, light(stone, 0.2)), (1, dark(stone, 0.16))])
    m.fill(lambda k: k.poly([(x - s * 0.06, y - s * 0.5), (x + s * 0.1, y - s * 0.84), (x + s * 0.9, y - s * 0.84), (x + s * 1.06, y - s * 0.5)]), [(0, light(roof, 0.12)), (1, dark(roof, 0.2))], across=False)
    m.rect(x + s * 0.7, y - s * 0.98, x + s * 0.8, y - s * 0.78, dark(stone, 0.2))
    for dx in (0.14, 0.66):
        m.rect(x + s * dx, y - s * 0.38, x + s * (dx + 0.14), y - s * 0.18, (96, 112, 116))
        for side in (-0.075, 0.145):
            m.rect(x + s * (dx + side), y - s * 0.39, x + s * (dx + side + 0.07), y - s * 0.17, (116, 142, 112))
    m.poly([*arc(x + s * 0.48, y - s * 0.26, s * 0.09, s * 0.09, 180, 360), (x + s * 0.57, y), (x + s * 0.39, y)], (110, 82, 58))


def meadow(m: Layer, y0: float, count: int, seed: int, flowers: bool = True, height: float = 60) -> None:
    """Grass and flowers in front."""
    r = random.Random(seed)
    for i in range(count):
        t = i / count
        y = y0 + (m.h + 30 - y0) * t
        x, long = r.uniform(0, m.w), height * (0.35 + 0.75 * t) * r.uniform(0.6, 1.2)
        c = mix((88, 124, 62), (158, 180, 92), r.random())
        m.line(curve((x, y), (x + r.uniform(-8, 8), y - long * 0.6), (x + r.uniform(-22, 22), y - long), steps=8), c, 1.4 + 2.4 * t, 0.8)
        if flowers and r.random() < 0.10:
            s = height * (0.06 + 0.13 * t)
            kind = r.random()
            if kind < 0.5:
                daisy(m, x, y - long, s, i, 0.7)
            elif kind < 0.8:
                clover(m, x, y - long, s * 0.8, seed=i)
            else:
                m.dot(x, y - long, s * 0.5, (232, 186, 56))


def corner(m: Layer, seed: int, left: bool = True, size: float = 1) -> None:
    """Plants that enter the picture from a corner, near the eye."""
    over = Layer(m.w, m.h)
    x = -10 if left else m.w + 10
    a = 58 if left else 122
    sign = -1 if left else 1
    sprig(over, x, m.h + 30, a, 330 * size, 8, 110 * size, 0.24, (112, 152, 72), 48, sign * 16, seed=seed)
    sprig(over, x + (90 if left else -90) * size, m.h + 40, a + sign * -14, 260 * size, 6, 96 * size, 0.56, (74, 130, 84), 58, sign * 18, 9, seed=seed + 1)
    for dx, dy, s in ((60, 190, 40), (150, 120, 34), (210, 60, 28)):
        px, py = x + (dx if left else -dx) * size, m.h - dy * size
        over.line(curve((px, py), (px, py + 80), (px - 30, m.h + 40)), (116, 146, 82), 4)
        daisy(over, px, py, s * size, seed + dx, 0.85)
    m.put(over, m.w / 2, m.h, shadow=0.3, lift=10)


def estate(w: float, h: float, sun: Point, seed: int) -> Layer:
    m = sky(w, h, (150, 188, 206), (250, 232, 196), sun)
    hill(m, h * 0.44, h * 0.05, (158, 178, 166), seed, 1.4)
    hill(m, h * 0.50, h * 0.04, (134, 160, 128), seed + 1, 1.9)
    hill(m, h * 0.55, h * 0.025, (116, 146, 96), seed + 2, 1.3)
    return m


def banner() -> Layer:
    m = estate(1600, 700, (1120, 210), 3)
    house(m, 1180, 408, 120)
    tree(m, 1120, 416, 210, (104, 140, 72), 4)
    tree(m, 1350, 420, 250, (112, 148, 78), 8)
    wall(m, 0, 1600, 408, 34, 6)
    rows(m, 442, 700, (900, 300), [(118, 154, 82), (84, 132, 88), (136, 164, 96), (150, 140, 168)], (176, 148, 108), 5)
    corner(m, 3, True, 1.25)
    corner(m, 11, False, 0.85)
    m.veil(lambda k: k.oval(1120, 210, 700, 260), (255, 240, 204), 0.16, 120)
    return m


def page_estate() -> Layer:
    m = estate(1200, 675, (300, 170), 12)
    house(m, 170, 372, 130)
    wall(m, 0, 1200, 360, 30, 2)
    rows(m, 390, 470, (600, 250), [(132, 164, 92), (96, 140, 90)], (180, 154, 114), 2, 20)
    wall(m, 0, 1200, 468, 38, 3)
    rows(m, 506, 675, (600, 300), [(84, 132, 88), (118, 154, 82), (150, 140, 168)], (172, 144, 104), 9, 13)
    tree(m, 890, 374, 330, (106, 142, 72), 4)
    tree(m, 1070, 378, 290, (116, 152, 80), 9)
    corner(m, 21, True, 0.75)
    return m


def bowl(m: Layer, x: float, y: float, r: float, glaze: Colour, inside: Callable[[Layer, random.Random], None], seed: int) -> None:
    """A bowl seen from above."""
    m.veil(lambda k: k.dot(x + r * 0.10, y + r * 0.14, r * 1.02), (50, 38, 22), 0.42, r * 0.09)
    m.fill(lambda k: k.dot(x, y, r), [(0, light(glaze, 0.34)), (0.5, glaze), (1, dark(glaze, 0.2))])
    m.dot(x, y, r * 0.9, dark(glaze, 0.34))
    content = Layer(2 * r, 2 * r, k=m.k)
    rnd = random.Random(seed)
    inside(content, rnd)
    content.im.putalpha(ImageChops.multiply(content.im.getchannel("A"), content.mask(lambda k: k.dot(r, r, r * 0.88))))
    m.put(content, x, y + r)
    m.veil(lambda k: k.line(arc(x, y, r * 0.86, r * 0.86, 130, 320), INK, r * 0.08), (40, 32, 18), 0.4, r * 0.05)


def heap(draw: Callable[[Layer, float, float, random.Random], None], size: float, count: int, base: Colour) -> Callable[[Layer, random.Random], None]:
    def inside(m: Layer, r: random.Random) -> None:
        m.dot(m.w / 2, m.h / 2, m.w / 2, base)
        for _ in range(count):
            a, d = r.uniform(0, 360), math.sqrt(r.random()) * m.w * 0.46
            draw(m, *polar(m.w / 2, m.h / 2, a, d), r)
    return inside


def any_leaf(c: Colour, size: float, slim: float) -> Callable[[Layer, float, float, random.Random], None]:
    def draw(m: Layer, x: float, y: float, r: random.Random) -> None:
        leaf(m, x, y, size * r.uniform(0.7, 1.2), size * slim, r.uniform(0, 360), mix(dark(c, 0.18), light(c, 0.28), r.random()), r.uniform(-30, 30), veins=3)
    return draw


def planks(w: float, h: float, base: Colour, seed: int = 1) -> Layer:
    """A table seen from above."""
    m = Layer(w, h, base)
    r = random.Random(seed)
    n = 6
    for i in range(n):
        y0, y1 = h * i / n, h * (i + 1) / n
        c = mix(base, light(base, 0.3), r.random())
        m.fill(lambda k: k.rect(0, y0, w, y1), [(0, dark(c, 0.06)), (0.4, c), (1, dark(c, 0.1))])
        for _ in range(26):
            y, x = r.uniform(y0 + 4, y1 - 4), r.uniform(-0.2, 0.9) * w
            m.line(curve((x, y), (x + w * 0.15, y + r.uniform(-7, 7)), (x + w * r.uniform(0.2, 0.7), y + r.uniform(-3, 3))), mix(c, dark(c, 0.4), r.uniform(0.12, 0.4)), 1)
        m.line([(0, y1), (w, y1)], dark(base, 0.5), 2.6)
        m.line([(0, y1 + 2.5), (w, y1 + 2.5)], light(base, 0.3), 1.2)
    m.veil(lambda k: k.oval(w * 0.36, h * 0.3, w * 0.4, h * 0.4), (255, 250, 232), 0.30, w * 0.12)
    return m


def dust(c: Colour) -> Callable[[Layer, float, float, random.Random], None]:
    return lambda m, x, y, r: m.dot(x, y, r.uniform(2, 5), mix(dark(c, 0.2), light(c, 0.4), r.random()))


def post_workshop() -> Layer:
    m = planks(1200, 675, (196, 164, 124), 2)
    bowl(m, 210, 190, 150, (226, 218, 200), heap(any_leaf((122, 160, 78), 74, 0.24), 0, 150, (70, 96, 48)), 1)
    bowl(m, 540, 160, 124, (150, 174, 142), heap(lambda k, x, y, r: daisy(k, x, y, r.uniform(17, 25), r.randrange(99)), 0, 90, (110, 120, 60)), 2)
    bowl(m, 846, 176, 142, (92, 110, 124), heap(any_leaf((74, 128, 84), 56, 0.54), 0, 140, (40, 76, 52)), 3)
    bowl(m, 1106, 214, 112, (226, 218, 200), heap(lambda k, x, y, r: blossom(k, x, y, r.uniform(19, 26), r.uniform(0, 72)), 0, 60, (120, 140, 90)), 4)
    bowl(m, 150, 516, 118, (186, 112, 84), heap(lambda k, x, y, r: ball(k, x, y, r.uniform(9, 13), r.choice([(170, 30, 48), (74, 32, 62)])), 0, 150, (70, 20, 34)), 5)
    bowl(m, 446, 486, 150, (214, 178, 112), heap(lambda k, x, y, r: linden(k, x, y, r.uniform(62, 84), r.uniform(0, 360), r.randrange(99)), 0, 60, (150, 154, 86)), 6)
    bowl(m, 1080, 516, 132, (150, 174, 142), heap(any_leaf((152, 168, 140), 66, 0.32), 0, 130, (96, 110, 84)), 7)
    board = Layer(300, 420, k=FINE)
    label(board, 0, 0, 240, 300, "Mon mélange", "composé à l'atelier", "20 g", GREEN, deco_evening)
    m.put(board, 800, 700, angle=-7, shadow=0.4, lift=7)
    return m


def post_infusion() -> Layer:
    m = backdrop(1200, 675, (228, 230, 214), TABLE, 0.70, seed=31)
    stand(m, teapot(), 370, 576, 1.08, 150)
    stand(m, cup(handle=True), 780, 606, 1.28, 88)
    steam(m, 760, 402, 250)
    stand(m, infuser(), 1040, 572, 0.78, 104, 20)
    scatter(m, [(90, 628), (190, 650), (470, 648), (560, 622), (930, 640), (1130, 626)], small_leaf((122, 160, 78), 0.24, 74), 6)
    scatter(m, [(140, 604), (520, 656), (980, 622), (1080, 652), (620, 652)], small_daisy, 6)
    return m


def post_linden() -> Layer:
    m = sky(1200, 675, (166, 200, 208), (248, 236, 196), (990, 360))
    hill(m, 600, 26, (150, 176, 126), 5)
    for blur, n, s in ((9, 16, 130), (0, 15, 168)):
        over = Layer(1200, 675)
        r = random.Random(n)
        branch = curve((-20, 130), (380, 60), (720, 350), (1110, 210), steps=60) if not blur else curve((-20, 20), (500, 120), (1220, 20), steps=60)
        over.line(branch, (110, 90, 66), 20 if not blur else 14, 5)
        for i in range(n):
            px, py = branch[min(60, 2 + i * 58 // n)]
            heart_leaf(over, px, py, s * r.uniform(0.8, 1.15), r.choice([r.uniform(30, 120), r.uniform(-120, -40)]), mix((96, 134, 72), (142, 168, 92), r.random()))
        for i in range(n - 3):
            px, py = branch[min(60, 5 + i * 55 // n)]
            linden(over, px, py, s * r.uniform(1.0, 1.3), r.uniform(-104, -76), i)
        m.put(over, 600, 675, blur=blur, opacity=0.7 if blur else 1, shadow=0 if blur else 0.14, lift=12)
    for x, y, s, a in ((300, 480, 28, 10), (560, 570, 18, -16), (800, 545, 32, 8), (1080, 450, 20, -8), (150, 570, 15, 20)):
        bee(m, x, y, s, a)
    return m


def glass(drink: Colour, top: Colour, what: str, seed: int) -> Layer:
    m = Layer(240, 430, k=FINE)

    def side(k: Layer, y0: float, y1: float, w0: float, w1: float) -> None:
        k.poly([*arc(120, y0, w0, w0 * 0.15, 180, 0), *arc(120, y1, w1, w1 * 0.15, 0, 180)])

    m.veil(lambda k: side(k, 40, 400, 98, 80), (240, 246, 246), 0.55)
    m.fill(lambda k: side(k, 96, 384, 89, 74), [(0, dark(drink, 0.25)), (0.2, drink), (0.36, light(drink, 0.35)), (0.7, drink), (1, dark(drink, 0.3))])
    m.veil(lambda k: side(k, 96, 240, 90, 82), top, 0.5, 26, inside=True)
    r = random.Random(seed)
    for x, y, a in ((76, 150, 12), (150, 138, -16), (108, 196, 30), (160, 220, 6)):
        cube = Layer(70, 70, k=m.k)
        cube.d.rounded_rectangle([v * cube.k for v in (6, 6, 64, 64)], radius=10 * cube.k, fill=(255, 255, 255, 96), outline=(255, 255, 255, 190), width=round(2.4 * cube.k))
        m.put(cube, x, y + 35, angle=a)
    if what == "mint":
        for _ in range(5):
            x, y = r.uniform(60, 180), r.uniform(180, 340)
            m.oval(x, y, 30, 20, (126, 164, 96))
            m.oval(x, y, 26, 16, (216, 232, 184))
        sprig(m, 130, 130, 82, 90, 3, 62, 0.56, (70, 136, 84), 58, 0, 8, seed=3)
    elif what == "peach":
        for x, y, turn in ((90, 210, 20), (152, 250, -30), (94, 300, -14), (146, 340, 24)):
            part = Layer(90, 60, k=m.k)
            part.poly([*arc(45, 12, 38, 42, 0, 180)], (214, 104, 66))
            part.fill(lambda k: k.poly([*arc(45, 12, 34, 37, 0, 180)]), [(0, (254, 214, 132)), (0.6, (250, 178, 92)), (1, (238, 140, 82))], across=False)
            part.oval(45, 12, 14, 9, (226, 118, 74))
            m.put(part, x, y + 30, angle=turn)
        for x, y in ((74, 170), (128, 206), (112, 268), (156, 300)):
            leaf(m, x, y, 52, 12, r.uniform(0, 360), (132, 166, 84))
        sprig(m, 120, 120, 96, 84, 4, 56, 0.24, (126, 164, 80), 48, 0, seed=3)
    else:
        for _ in range(13):
            ball(m, r.uniform(60, 180), r.uniform(170, 350), r.uniform(8, 12), (170, 28, 46))
        m.dot(178, 84, 44, (120, 160, 62))
        m.dot(178, 84, 39, (236, 244, 206))
        for i in range(8):
            leaf(m, *polar(178, 84, i * 45 + 10, 5), 31, 19, i * 45 + 10, (182, 206, 106), veins=0)
    m.veil(lambda k: k.line(arc(120, 40, 97, 14, 0, 360), INK, 3), (255, 255, 255), 0.85)
    m.veil(lambda k: k.poly([(38, 60), (56, 62), (64, 380), (52, 380)]), (255, 255, 255), 0.55, 3)
    m.veil(lambda k: k.poly([(198, 70), (204, 70), (190, 380), (186, 380)]), (255, 255, 255), 0.4, 2)
    return m


def post_iced() -> Layer:
    m = backdrop(1200, 675, (206, 230, 228), (238, 226, 204), 0.72, seed=33)
    m.veil(lambda k: k.poly([(700, 0), (900, 0), (520, 675), (240, 675)]), (255, 255, 255), 0.25, 40)
    stand(m, glass((178, 202, 120), (226, 236, 178), "mint", 1), 300, 606, 1.22, 78, 10)
    stand(m, glass((238, 182, 96), (252, 226, 160), "peach", 2), 610, 620, 1.22, 78, 10)
    stand(m, glass((192, 40, 62), (232, 112, 104), "red", 3), 920, 606, 1.22, 78, 10)
    scatter(m, [(110, 620), (470, 648), (1080, 634), (180, 650)], small_leaf((70, 136, 84), 0.52, 70, 8), 4)
    scatter(m, [(770, 650), (812, 632), (1020, 654), (752, 626)], small_berry, 2)
    return m


def post_drying() -> Layer:
    w, h = 1200, 675
    m = Layer(w, h, (120, 96, 72))
    m.fill(lambda k: k.rect(0, 0, w, h), [(0, (98, 76, 56)), (0.5, (168, 136, 102)), (1, (126, 100, 74))], across=False)
    r = random.Random(6)
    for i in range(13):
        x = i * 96 - 20
        m.fill(lambda k: k.rect(x, 0, x + 92, 520), [(0, (128, 100, 74)), (0.5, (154, 122, 92)), (1, (120, 94, 68))])
        for _ in range(9):
            gx = r.uniform(x + 6, x + 86)
            m.line(curve((gx, 0), (gx + r.uniform(-6, 6), 260), (gx, 520)), (112, 86, 62), 1)
    for x0 in (500,):
        m.rect(x0, 130, x0 + 200, 400, (92, 70, 50))
        m.fill(lambda k: k.rect(x0 + 10, 140, x0 + 190, 390), [(0, (214, 230, 234)), (0.6, (252, 246, 220)), (1, (206, 218, 166))], across=False)
        m.line([(x0 + 100, 140), (x0 + 100, 390)], (92, 70, 50), 7)
        m.line([(x0 + 10, 262), (x0 + 190, 262)], (92, 70, 50), 7)
    m.veil(lambda k: k.poly([(510, 140), (690, 140), (1010, 675), (420, 675)]), (255, 240, 200), 0.26, 34)
    m.fill(lambda k: k.rect(0, 520, w, h), [(0, (110, 84, 60)), (1, (178, 144, 106))], across=False)
    for i in range(9):
        m.line([(w / 2 + (i - 4) * 110, 520), (w / 2 + (i - 4) * 240, h)], (96, 72, 50), 2)
    for x, kind in ((330, 0), (870, 1)):  # two racks of trays
        for level in range(3):
            y = 500 + level * 52
            c = ((122, 158, 80), (236, 230, 200), (90, 134, 88), (206, 204, 140))[(kind * 2 + level) % 4]
            m.veil(lambda k: k.rect(x - 190, y + 8, x + 200, y + 26), (40, 28, 16), 0.5, 8)
            m.fill(lambda k: k.poly([(x - 180, y), (x + 180, y), (x + 190, y + 16), (x - 190, y + 16)]), [(0, (150, 112, 74)), (0.5, (206, 166, 118)), (1, (140, 104, 70))])
            for _ in range(110):
                px = x + r.uniform(-172, 172)
                leaf(m, px, y + 2 - r.uniform(0, 9), r.uniform(14, 28), 6, r.uniform(0, 180), mix(dark(c, 0.2), light(c, 0.2), r.random()), veins=0)
    m.fill(lambda k: k.rect(0, 34, w, 84), [(0, (150, 112, 76)), (0.3, (128, 94, 62)), (1, (82, 58, 38))], across=False)
    for _ in range(24):
        y = r.uniform(40, 80)
        m.line(curve((r.uniform(0, 500), y), (600, y + r.uniform(-5, 5)), (r.uniform(700, w), y)), (96, 68, 44), 1)
    kinds: list[Callable[[Layer, float, float, float], None]] = [
        lambda k, x, y, a: sprig(k, x, y, a, 190, 7, 62, 0.24, (126, 158, 84), 44, 0, seed=round(x)),
        lambda k, x, y, a: rosemary(k, x, y, a, 190, (112, 132, 104), 4),
        lambda k, x, y, a: sprig(k, x, y, a, 170, 6, 58, 0.54, (86, 130, 92), 54, 0, 8, seed=round(x)),
        lambda k, x, y, a: thyme(k, x, y, a, 200, True, 6),
    ]
    for i, x in enumerate((80, 236, 390, 790, 948, 1106)):
        over = Layer(w, h)
        for a in (-118, -104, -90, -76, -62):
            kinds[i % 4](over, x, 168, a + r.uniform(-4, 4))
        if i % 3 == 1:
            for _ in range(9):
                daisy(over, x + r.uniform(-70, 70), r.uniform(280, 356), r.uniform(11, 16), r.randrange(99), 0.8)
        for dx in (-10, -4, 2, 8):
            over.line([(x + dx, 172), (x + dx * 1.8, 128)], (128, 134, 84), 3.4)
        over.line([(x, 152), (x, 60)], (226, 208, 170), 2.4)
        for dy in (-4, 0, 4):
            over.line([(x - 13, 162 + dy), (x + 13, 160 + dy)], (236, 220, 184), 3)
        m.put(over, w / 2, h, shadow=0.4, lift=10)
    return m


def hive(m: Layer, x: float, y: float, s: float, colour: Colour) -> None:
    m.veil(lambda k: k.oval(x + s * 0.08, y + s * 0.04, s * 0.62, s * 0.12), (40, 50, 24), 0.5, s * 0.05)
    for dx in (-0.34, 0.28):
        m.rect(x + s * dx, y - s * 0.1, x + s * (dx + 0.07), y + s * 0.05, (96, 76, 56))
    for i, tall in enumerate((0.50, 0.36)):
        top = y - s * (0.08 + 0.50 + (0.36 if i else 0))
        m.fill(lambda k: k.rect(x - s * 0.46, top, x + s * 0.46, top + s * tall), [(0, light(colour, 0.3)), (0.3, colour), (1, dark(colour, 0.24))])
        m.line([(x - s * 0.46, top + s * tall), (x + s * 0.46, top + s * tall)], dark(colour, 0.45), s * 0.016)
        m.block(x - s * 0.12, top + s * 0.11, x + s * 0.12, top + s * 0.16, s * 0.025, dark(colour, 0.4))
    m.rect(x - s * 0.3, y - s * 0.15, x + s * 0.3, y - s * 0.11, (50, 40, 30))
    m.fill(lambda k: k.poly([(x - s * 0.50, y - s * 0.09), (x + s * 0.50, y - s * 0.09), (x + s * 0.54, y - s * 0.03), (x - s * 0.54, y - s * 0.03)]), [(0, (176, 142, 100)), (1, (122, 94, 64))])
    top = y - s * 0.94
    m.fill(lambda k: k.rect(x - s * 0.52, top - s * 0.07, x + s * 0.52, top + s * 0.03), [(0, (226, 228, 226)), (0.35, (250, 250, 246)), (1, (164, 168, 166))])


def post_hives() -> Layer:
    m = sky(1200, 675, (146, 192, 216), (246, 238, 208), (220, 170))
    hill(m, 330, 34, (150, 178, 160), 3)
    hill(m, 384, 26, (132, 164, 112), 4)
    hill(m, 440, 12, (126, 160, 86), 6)
    tree(m, 150, 462, 250, (104, 142, 72), 3)
    tree(m, 1090, 466, 310, (112, 148, 76), 7)
    meadow(m, 440, 420, 3, False, 34)
    for x, y, s, c in ((340, 500, 140, (226, 190, 96)), (560, 520, 156, (148, 180, 190)), (800, 514, 150, (190, 204, 158)), (1000, 500, 136, (222, 158, 124))):
        hive(m, x, y, s, c)
    meadow(m, 520, 620, 8, True, 70)
    r = random.Random(4)
    for _ in range(17):
        bee(m, r.uniform(220, 1120), r.uniform(250, 560), r.uniform(8, 15), r.uniform(-24, 24))
    bee(m, 190, 330, 30, 12)
    return m


def post_cake() -> Layer:
    m = backdrop(1200, 675, (240, 222, 194), (196, 158, 116), 0.66, seed=35)
    crust, crumb = (126, 74, 38), (184, 120, 66)
    board = (214, 178, 128)
    m.ground(560, 600, 470, 0.4)
    m.fill(lambda k: k.block(110, 560, 1010, 602, 16), [(0, light(board, 0.16)), (0.6, board), (1, dark(board, 0.22))])
    m.fill(lambda k: k.block(104, 546, 1016, 580, 16), [(0, light(board, 0.34)), (0.6, light(board, 0.14)), (1, board)])

    def loaf(k: Layer) -> None:
        k.poly([*curve((210, 562), (186, 470), (196, 372), (232, 352)), *curve((232, 352), (330, 286), (520, 286), (640, 350)), *curve((640, 350), (672, 380), (672, 480), (660, 562))])

    cake = Layer(1200, 675)
    cake.fill(loaf, [(0, light(crust, 0.10)), (0.3, light(crust, 0.16)), (1, dark(crust, 0.2))], across=False)
    cake.veil(lambda k: k.oval(400, 336, 190, 30), (236, 172, 104), 0.5, 18, inside=True)
    cake.line(curve((280, 344), (380, 320), (500, 334), (588, 346)), dark(crust, 0.4), 5, 2)
    cake.line(curve((280, 348), (380, 325), (500, 339), (588, 350)), light(crumb, 0.2), 3, 1)
    r = random.Random(8)
    for x0 in (650, 740, 830):
        lean = (x0 - 650) * 0.5
        shape = [*curve((x0 - 34, 562), (x0 - 40 + lean * 0.4, 400), (x0 + lean * 0.6, 356 + lean * 0.3)), *curve((x0 + 20 + lean * 0.7, 346 + lean * 0.3), (x0 + 92 + lean * 0.8, 330 + lean * 0.4), (x0 + 138 + lean, 366 + lean * 0.5)), *curve((x0 + 150 + lean, 400 + lean * 0.5), (x0 + 150 + lean * 0.6, 500), (x0 + 132 + lean * 0.2, 562))]
        piece = Layer(1200, 675)
        piece.poly(shape, crust)
        cx, cy = x0 + 58 + lean * 0.5, 464 + lean * 0.2
        inner = [(cx + (x - cx) * 0.90, cy + (y - cy) * 0.92) for x, y in shape]
        piece.fill(lambda k: k.poly(inner), [(0, light(crumb, 0.22)), (0.5, light(crumb, 0.06)), (1, dark(crumb, 0.12))])
        holes = Layer(1200, 675)
        for _ in range(150):
            holes.oval(cx + r.uniform(-90, 90), cy + r.uniform(-110, 110), r.uniform(1, 4), r.uniform(0.8, 2.6), mix(dark(crumb, 0.3), light(crumb, 0.35), r.random()))
        holes.im.putalpha(ImageChops.multiply(holes.im.getchannel("A"), holes.mask(lambda k: k.poly(inner))))
        piece.im.alpha_composite(holes.im)
        cake.put(piece, 600, 675, shadow=0.45, lift=6)
    m.put(cake, 600, 675, shadow=0.25, lift=6)
    stand(m, meadow_jar(), 1070, 590, 0.72, 138)
    m.put(dipper(250), 950, 640, angle=-60, shadow=0.4, lift=5)
    anise = Layer(1200, 675)
    for x, y, t in ((150, 626, 10), (300, 640, 40), (720, 644, 20)):
        for k in range(8):
            leaf(anise, x, y, 26, 11, t + k * 45, (134, 82, 44), veins=0)
            anise.dot(*polar(x, y, t + k * 45, 15), 3, (196, 140, 84))
    for x in (420, 470):  # cinnamon
        anise.fill(lambda k: k.block(x, 622 + (x - 420) * 0.3, x + 150, 640 + (x - 420) * 0.3, 8), [(0, (196, 128, 74)), (0.5, (164, 98, 52)), (1, (110, 62, 32))], across=False)
    m.put(anise, 600, 675, shadow=0.45, lift=4)
    return m


def post_boxes() -> Layer:
    m = backdrop(1200, 675, (186, 202, 206), (170, 146, 120), 0.72, seed=37)
    glow(m, 70, 9, (255, 240, 204))
    stand(m, winter_box(), 420, 606, 0.96, 310)
    stand(m, cup((206, 196, 178), (190, 150, 70)), 846, 590, 1.0, 84)
    steam(m, 836, 432, 180)
    stand(m, cup((206, 196, 178), (190, 150, 70)), 1056, 616, 1.0, 84)
    steam(m, 1046, 458, 180)
    over = Layer(1200, 675)
    fir(over, 700, 664, 10, 230)
    fir(over, 1230, 20, 200, 330)
    fir(over, 1220, -30, 226, 300)
    fir(over, -30, 10, -28, 270)
    m.put(over, 600, 675, shadow=0.3, lift=6)
    scatter(m, [(742, 640), (790, 656), (860, 648)], lambda k, x, y, r: ball(k, x, y, 12, (176, 36, 44)), 4)
    return m


def post_camomile() -> Layer:
    m = sky(1200, 675, (170, 206, 220), (242, 240, 214), (900, 160))
    hill(m, 400, 26, (148, 178, 142), 5)
    hill(m, 450, 14, (134, 168, 100), 7)
    r = random.Random(3)
    for depth in range(5):
        over = Layer(1200, 675)
        size = 10 + depth * 11
        for _ in range((70, 54, 34, 20, 9)[depth]):
            x, y = r.uniform(0, 1200), 440 + depth * 38 + r.uniform(-26, 34) + (20 if depth == 4 else 0)
            over.line(curve((x, y), (x + r.uniform(-12, 12), y + 100), (x + r.uniform(-30, 30), 700)), mix((96, 138, 66), (140, 170, 92), r.random()), 1.4 + depth * 0.9)
            for _ in range(3):
                yy = y + r.uniform(30, 150)
                for side in (1, -1):
                    over.line([(x, yy), polar(x, yy, 90 - side * 42, size * 1.1)], (124, 158, 82), 0.9 + depth * 0.4)
            daisy(over, x, y, size * r.uniform(0.8, 1.15), r.randrange(999), r.uniform(0.62, 0.95))
        m.put(over, 600, 675, blur=max(0, 2.4 - depth * 0.8), shadow=0.22 if depth > 2 else 0, lift=7)
    bee(m, 420, 300, 28, 12)
    bee(m, 760, 360, 18, -14)
    return m


def category_teas() -> Layer:
    m = backdrop(1000, 600, (222, 230, 208), TABLE, 0.74, seed=41)
    p = the_pouches()
    back = Layer(1000, 600)
    sprig(back, 90, 560, 104, 320, 8, 110, 0.24, (122, 160, 78), 48, -20, seed=3)
    sprig(back, 910, 560, 78, 280, 7, 100, 0.54, (74, 130, 84), 58, 20, 9, seed=5)
    m.put(back, 500, 600, shadow=0.22, lift=8)
    for name, x, s in (("morning", 250, 0.88), ("mint", 750, 0.88), ("verbena", 500, 1.0)):
        stand(m, p[name], x, 530 if s < 1 else 556, s, 160, 9)
    scatter(m, [(140, 572), (370, 580), (640, 578), (860, 566)], small_leaf((122, 160, 78), 0.26, 64), 4)
    return m


def category_evening() -> Layer:
    m = backdrop(1000, 600, (166, 182, 208), (150, 140, 140), 0.74, seed=43)
    glow(m, 34, 5, (255, 250, 226), 0.5)
    m.veil(lambda k: k.dot(810, 110, 74), (252, 250, 236), 0.5, 26)
    m.veil(lambda k: k.dot(810, 110, 52), (254, 251, 236), 0.92, 1)
    stand(m, summer_tin(), 330, 540, 1.1, 148, 24)
    stand(m, night_tin(), 660, 540, 1.1, 148, 24)
    stand(m, cup((206, 196, 178)), 890, 566, 0.8, 84)
    steam(m, 880, 430, 140)
    scatter(m, [(110, 556), (170, 578), (500, 580)], small_daisy, 4)
    scatter(m, [(760, 582), (460, 566)], small_blossom, 4)
    return m


def category_fruit() -> Layer:
    m = backdrop(1000, 600, (246, 222, 214), (224, 194, 166), 0.74, seed=45)
    stand(m, the_pouches()["fruit"], 330, 552, 1.02, 160, 9)
    stand(m, glass((192, 40, 62), (232, 112, 104), "red", 3), 600, 556, 0.92, 78, 10)
    fruit = Layer(1000, 600)
    for x, y, r, c in ((800, 486, 66, (196, 60, 46)), (900, 512, 52, (206, 92, 54)), (118, 500, 58, (200, 66, 48))):
        m.ground(x, y + r * 0.86, r * 0.8, 0.36)
        apple(fruit, x, y, r, c)
    currants(fruit, 742, 470, 104, (176, 30, 48), 4)
    hibiscus(fruit, 200, 566, 30, 12)
    m.put(fruit, 500, 600, shadow=0.2, lift=4)
    scatter(m, [(480, 580), (512, 562), (690, 584), (730, 576), (260, 584), (860, 584)], small_berry, 2)
    scatter(m, [(90, 578), (796, 580)], small_ring, 2)
    return m


def category_honey() -> Layer:
    m = backdrop(1000, 600, (250, 234, 192), (214, 182, 136), 0.74, seed=47)
    stand(m, linden_jar(), 330, 548, 1.02, 138)
    stand(m, meadow_jar(), 620, 548, 0.98, 138)
    m.put(dipper(300), 846, 580, angle=-52, shadow=0.4, lift=6)
    scatter(m, [(110, 546), (160, 574)], small_linden, 3)
    scatter(m, [(470, 580), (760, 578), (880, 500)], small_clover, 5)
    bee(m, 830, 180, 30, 10)
    bee(m, 150, 240, 24, -12)
    bee(m, 900, 300, 16, 18)
    return m


def category_things() -> Layer:
    m = backdrop(1000, 600, (226, 224, 212), (204, 178, 142), 0.74, seed=49)
    stand(m, teapot(), 290, 530, 0.98, 150)
    stand(m, infuser(), 706, 536, 0.86, 104, 20)
    stand(m, cup(), 896, 570, 0.78, 84)
    scatter(m, [(90, 562), (210, 580), (520, 578), (780, 586)], small_leaf((122, 160, 78), 0.26, 64), 4)
    scatter(m, [(150, 574), (560, 560)], small_daisy, 4)
    return m


def category_boxes() -> Layer:
    m = backdrop(1000, 600, (228, 222, 206), (204, 176, 140), 0.76, seed=51)
    stand(m, discovery_box(), 246, 552, 0.76, 270)
    stand(m, winter_box(), 736, 560, 0.74, 310)
    scatter(m, [(80, 578), (500, 582), (940, 576)], small_leaf((122, 160, 78), 0.26, 60), 4)
    return m


def logo() -> Layer:
    m = Layer(640, 200)
    emblem(m, 96, 116, 150, GREEN)
    m.text(400, 66, "LES TISANES DU", SANS, 25, OCHRE, 9)
    m.text(400, 142, "Clos Verdier", ITALIC, 82, GREEN)
    m.line([(232, 172), (352, 172)], OCHRE, 1.6)
    m.line([(448, 172), (568, 172)], OCHRE, 1.6)
    leaf(m, 400, 178, 26, 11, 128, GREEN, veins=0)
    leaf(m, 400, 178, 26, 11, 52, light(GREEN, 0.2), veins=0)
    return m


ALL: dict[str, Callable[[], Layer]] = {
    **PRODUCTS,
    "logo.png": logo,
    "banniere.jpg": banner,
    "page-clos.jpg": page_estate,
    "article-atelier.jpg": post_workshop,
    "article-infusion.jpg": post_infusion,
    "article-tilleul.jpg": post_linden,
    "article-glacee.jpg": post_iced,
    "article-sechoir.jpg": post_drying,
    "article-ruches.jpg": post_hives,
    "article-pain-d-epices.jpg": post_cake,
    "article-coffrets.jpg": post_boxes,
    "article-camomille.jpg": post_camomile,
    "categorie-tisanes.jpg": category_teas,
    "categorie-infusions-du-soir.jpg": category_evening,
    "categorie-infusions-fruitees.jpg": category_fruit,
    "categorie-miels.jpg": category_honey,
    "categorie-accessoires.jpg": category_things,
    "categorie-coffrets.jpg": category_boxes,
}


def main(names: Sequence[str]) -> None:
    PICTURES.mkdir(exist_ok=True)
    for name in names or ALL:
        ALL[name]().save(name)


if __name__ == "__main__":
    main(sys.argv[1:])
