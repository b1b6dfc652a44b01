"""Decoding: every format and orientation, damage told apart, limits before pixels, nothing but PhotoError."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from pipeline.errors import PhotoError, Reason
from pipeline.images.decode import Decoded, Limits, decode
from pipeline.images.pixels import coarse_factor, shrink, working_size

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")  # remarks on odd metadata

LIMITS = Limits(max_bytes=2**20, max_pixels=2_000_000, min_side=16, working_side=64)
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


def scene(width: int = 120, height: int = 96) -> Image.Image:
    """Four quarters: red, green above; blue, white below, so that every turn can be told."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (200, 30, 30)
    pixels[: height // 2, width // 2 :] = (30, 160, 30)
    pixels[height // 2 :, : width // 2] = (30, 30, 200)
    pixels[height // 2 :, width // 2 :] = (250, 250, 250)
    return Image.fromarray(pixels)


def encoded(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    (image or scene()).save(stream, kind, **options)
    return stream.getvalue()


def corners(decoded: Decoded) -> list[tuple[int, int, int]]:
    height, width = decoded.pixels.shape[:2]
    at = [(height // 4, width // 4), (height // 4, 3 * width // 4), (3 * height // 4, width // 4)]
    return [tuple(int(v) for v in decoded.pixels[y, x]) for y, x in at]


def near(color: tuple[int, ...], wanted: tuple[int, ...], tolerance: int = 14) -> bool:
    return max(abs(a - b) for a, b in zip(color, wanted, strict=True)) <= tolerance


def reason_of(data: bytes, limits: Limits = LIMITS) -> Reason:
    with pytest.raises(PhotoError) as caught:
        decode(data, limits)
    assert caught.value.message
    return caught.value.reason


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, "jpeg"),
        ("JPEG", {"quality": 95, "progressive": True}, "jpeg"),
        ("PNG", {}, "png"),
        ("WEBP", {"lossless": True}, "webp"),
        ("TIFF", {"compression": "tiff_lzw"}, "tiff"),
        ("BMP", {}, "bmp"),
        ("AVIF", {"quality": 95}, "avif"),
        ("GIF", {}, "gif"),
    ],
)
def test_every_format_gives_the_same_picture(kind: str, options: dict[str, object], name: str) -> None:
    decoded = decode(encoded(kind, **options), LIMITS)
    assert (decoded.format, decoded.width, decoded.height) == (name, 120, 96)
    assert decoded.pixels.shape == (64, 80, 3)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.flags.c_contiguous
    red, green, blue = corners(decoded)
    assert near(red, (200, 30, 30))
    assert near(green, (30, 160, 30))
    assert near(blue, (30, 30, 200))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"quality": 95} if kind in {"JPEG", "WEBP", "AVIF"} else {}
    decoded = decode(encoded(kind, exif=exif, **options), LIMITS)
    turned = Image.Transpose
    turns = {
        2: turned.FLIP_LEFT_RIGHT, 3: turned.ROTATE_180, 4: turned.FLIP_TOP_BOTTOM, 5: turned.TRANSPOSE,
        6: turned.ROTATE_270, 7: turned.TRANSVERSE, 8: turned.ROTATE_90,
    }  # fmt: skip
    upright = scene() if orientation == 1 else scene().transpose(turns[orientation])
    assert (decoded.width, decoded.height) == upright.size
    wanted = decode(encoded("PNG", upright), LIMITS)
    assert all(near(a, b, 20) for a, b in zip(corners(decoded), corners(wanted), strict=True))


def test_gray_palette_and_sixteen_bit_pictures_become_rgb() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    for image in (Image.fromarray(ramp), Image.fromarray((ramp >> 8).astype(np.uint8))):
        pixels = decode(encoded("PNG", image), LIMITS).pixels.astype(int)
        assert np.abs(pixels - (ramp >> 8)[..., None]).max() <= 1
    palette = decode(encoded("PNG", scene().convert("P")), LIMITS)
    assert near(corners(palette)[0], (200, 30, 30), 40)
    gray = decode(encoded("JPEG", scene().convert("L")), LIMITS)
    assert np.ptp(gray.pixels.astype(int), axis=2).max() == 0


def test_transparent_pixels_lie_on_white_and_leak_no_hidden_color() -> None:
    image = Image.new("RGBA", (200, 200), (255, 0, 0, 0))  # red, but invisible
    image.paste((0, 0, 255, 255), (50, 50, 150, 150))
    pixels = decode(encoded("PNG", image), LIMITS).pixels.astype(int)
    assert near(tuple(pixels[2, 2]), (255, 255, 255), 0)
    assert near(tuple(pixels[32, 32]), (0, 0, 255), 0)
    assert (pixels[..., 0] <= pixels[..., 2] + 1).all()  # nowhere reddish


def test_cmyk_jpeg_is_read() -> None:
    decoded = decode(encoded("JPEG", scene().convert("CMYK"), quality=95), LIMITS)
    assert near(corners(decoded)[0], (200, 30, 30), 20)


def test_wide_gamut_photo_is_converted_to_srgb() -> None:
    red, green, blue, white = (0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290)
    profile = p3_like_profile(red, green, blue, white)
    image = Image.new("RGB", (64, 64), (180, 60, 60))
    plain = decode(encoded("PNG", image), LIMITS).pixels[0, 0]
    wide = decode(encoded("PNG", image, icc_profile=profile), LIMITS).pixels[0, 0]
    assert tuple(plain) == (180, 60, 60)
    assert wide[0] > plain[0] + 4  # the same red lies further out in the wider gamut
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert tuple(decode(encoded("PNG", image, icc_profile=srgb), LIMITS).pixels[0, 0]) == (180, 60, 60)
    assert tuple(decode(encoded("PNG", image, icc_profile=b"nonsense"), LIMITS).pixels[0, 0]) == (180, 60, 60)


def p3_like_profile(*xy: tuple[float, float]) -> bytes:
    """A matrix profile with the given primaries (red, green, blue, white), gamma 2.2, written by hand."""

    def xyz(point: tuple[float, float]) -> np.ndarray:
        x, y = point
        return np.array([x / y, 1.0, (1 - x - y) / y])

    primaries = np.stack([xyz(p) for p in xy[:3]], axis=1)
    matrix = primaries * np.linalg.solve(primaries, xyz(xy[3]))
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d50 = np.array([0.9642, 1.0, 0.8249])
    gain = (bradford @ d50) / (bradford @ xyz(xy[3]))
    matrix = np.linalg.inv(bradford) @ np.diag(gain) @ bradford @ matrix

    def fixed(values: np.ndarray) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(float(v) * 65536)) for v in values)

    text = b"Wide test gamut\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"wtpt": fixed(d50),
        b"rXYZ": fixed(matrix[:, 0]), b"gXYZ": fixed(matrix[:, 1]), b"bXYZ": fixed(matrix[:, 2]),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), b"curv\0\0\0\0" + struct.pack(">IH", 1, int(2.2 * 256)) + b"\0\0"),
    }  # fmt: skip
    body, table, at = b"", b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + b"".join(struct.pack(">i", round(v * 65536)) for v in d50) + bytes(48)
    assert len(head) == 128
    return head + struct.pack(">I", len(tags)) + table + body


def test_animations_give_their_first_frame() -> None:
    frames = [scene(), Image.new("RGB", (120, 96), "black")]
    for kind in ("GIF", "WEBP", "PNG"):
        data = encoded(kind, frames[0], save_all=True, append_images=frames[1:])
        assert near(corners(decode(data, LIMITS))[0], (200, 30, 30), 20), kind


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", Reason.NOT_AN_IMAGE),
        (b'{"error": "AccessDenied"}', Reason.NOT_AN_IMAGE),
        (b"\x00" * 4096, Reason.NOT_AN_IMAGE),
        (b"plain words", Reason.NOT_AN_IMAGE),
        (b"\xff\xd8", Reason.TRUNCATED),
        (b"\x89PNG", Reason.TRUNCATED),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", Reason.UNSUPPORTED),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00isommp42", Reason.NOT_AN_IMAGE),
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", Reason.UNSUPPORTED),
        (b"%PDF-1.7 ...", Reason.UNSUPPORTED),
    ],
)
def test_what_is_no_photo_gets_a_reason(data: bytes, reason: Reason) -> None:
    assert reason_of(data) == reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_file_is_truncated(kind: str, share: float) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (100, 130, 3), dtype=np.uint8)
    data = encoded(kind, Image.fromarray(noise))
    assert reason_of(data[: int(len(data) * share)]) == Reason.TRUNCATED


def test_a_progressive_or_cmyk_jpeg_that_is_cut_is_truncated() -> None:
    for image, options in ((scene(), {"progressive": True}), (scene().convert("CMYK"), {})):
        data = encoded("JPEG", image, **options)
        for share in (0.5, 0.8, 0.95):
            assert reason_of(data[: int(len(data) * share)]) == Reason.TRUNCATED


def test_a_jpeg_filled_up_with_zeros_is_truncated() -> None:
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 255, (200, 200, 3), dtype=np.uint8))
    data = encoded("JPEG", noise)
    assert reason_of(data[: len(data) // 2] + bytes(len(data) // 2)) == Reason.TRUNCATED


def test_a_jpeg_that_lacks_only_its_end_marker_is_whole() -> None:
    data = encoded("JPEG")
    assert np.array_equal(decode(data[:-2], LIMITS).pixels, decode(data, LIMITS).pixels)


def test_padding_before_the_end_marker_is_harmless_and_damage_is_not() -> None:
    noise = Image.fromarray(np.random.default_rng(4).integers(0, 255, (200, 200, 3), dtype=np.uint8))
    data = encoded("JPEG", noise)
    padded = data[:-2] + bytes(9) + data[-2:]
    assert np.array_equal(decode(padded, LIMITS).pixels, decode(data, LIMITS).pixels)
    half = len(data) // 2
    assert reason_of(data[:half] + data[half + 40 :]) == Reason.CORRUPT  # bytes are left over
    assert reason_of(data[:half] + data[half + 4000 :]) == Reason.CORRUPT  # bytes are missing


def test_limits_are_checked_on_the_header() -> None:
    assert reason_of(encoded("JPEG", scene(1600, 1600))) == Reason.TOO_MANY_PIXELS
    assert reason_of(encoded("PNG", scene(12, 300))) == Reason.TOO_SMALL
    assert reason_of(encoded("BMP", scene(700, 700))) == Reason.TOO_MANY_BYTES
    assert reason_of(png_bomb(100_000, 100_000)) == Reason.TOO_MANY_PIXELS


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that claims to be huge."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(width + 1))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_progressive_jpeg_with_thousands_of_scans_is_refused() -> None:
    data = encoded("JPEG", scene(), progressive=True)
    scan = data.rindex(b"\xff\xda")
    bomb = data[:-2] + data[scan:-2] * 4000 + data[-2:]
    assert reason_of(bomb, Limits(2**22, 1_000_000, 16, 64)) == Reason.TOO_MANY_PIXELS


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([64, 224, 448]))
def test_working_size_is_bounded_and_the_coarse_scale_never_below_it(width: int, height: int, side: int) -> None:
    new_width, new_height = working_size(width, height, side)
    assert new_width <= width and new_height <= height
    assert max(new_width, new_height) <= 4 * side
    assert min(new_width, new_height) <= side or min(width, height) <= side
    factor = coarse_factor(width, height, side)
    assert factor in (1, 2, 4, 8)
    assert width // factor >= new_width and height // factor >= new_height


def test_reduced_decoding_is_close_to_the_full_one() -> None:
    noise = np.random.default_rng(5).normal(0, 1, (30, 40, 3)).repeat(40, 0).repeat(40, 1)
    image = Image.fromarray(np.clip(128 + 40 * noise, 0, 255).astype(np.uint8))
    data = encoded("JPEG", image, quality=95)
    reduced = decode(data, Limits(2**24, 10**8, 16, 128)).pixels.astype(float)
    full = shrink(np.array(Image.open(io.BytesIO(data))), 128).astype(float)
    error = np.square(reduced - full).mean()
    assert 10 * np.log10(255**2 / error) > 35


SEEDS = {
    "jpeg": encoded("JPEG"),
    "progressive": encoded("JPEG", progressive=True),
    "cmyk": encoded("JPEG", scene().convert("CMYK")),
    "png": encoded("PNG", scene().convert("RGBA")),
    "palette": encoded("PNG", scene().convert("P")),
    "webp": encoded("WEBP"),
    "gif": encoded("GIF"),
    "tiff": encoded("TIFF"),
    "bmp": encoded("BMP"),
    "avif": encoded("AVIF"),
}


def only_photo_errors(data: bytes) -> None:
    try:
        decoded = decode(data, LIMITS)
    except PhotoError as error:
        assert error.reason.permanent
        return
    height, width, channels = decoded.pixels.shape
    assert channels == 3 and decoded.pixels.dtype == np.uint8
    assert height * width <= (4 * LIMITS.working_side) ** 2
    assert decoded.width * decoded.height <= LIMITS.max_pixels
    assert min(decoded.width, decoded.height) >= LIMITS.min_side


@given(st.binary(max_size=300), st.sampled_from([b"", *(data[:12] for data in SEEDS.values())]))
@settings(max_examples=150, deadline=None)
def test_arbitrary_bytes_only_raise_photo_errors(data: bytes, start: bytes) -> None:
    only_photo_errors(start + data)


@given(st.sampled_from(sorted(SEEDS)), st.randoms(use_true_random=False))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_mutated_files_only_raise_photo_errors(name: str, chance: random.Random) -> None:
    data = bytearray(SEEDS[name])
    for _ in range(chance.randrange(1, 8)):
        kind = chance.random()
        at = chance.randrange(len(data))
        if kind < 0.6:
            data[at] = chance.choice([0, 255, chance.randrange(256)])
        elif kind < 0.8:
            del data[at : at + chance.randrange(1, 60)]
        else:
            data[at:at] = data[: chance.randrange(60)]
        data = data or bytearray(b"x")
    only_photo_errors(bytes(data))


@pytest.mark.real_photos
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
def test_real_photos_decode_and_their_cut_copies_do_not() -> None:
    files = [
        file
        for name in ("fullsize", "retail", "cc0", "street")
        for file in sorted((SHARED / name / "images").iterdir())[:12]
    ]
    limits = Limits(50 * 2**20, 100_000_000, 16, 448)
    for file in files:
        data = file.read_bytes()
        decoded = decode(data, limits)
        with Image.open(file) as image:
            assert (decoded.width, decoded.height) == image.size
        assert reason_of(data[: len(data) * 3 // 4], limits) == Reason.TRUNCATED
