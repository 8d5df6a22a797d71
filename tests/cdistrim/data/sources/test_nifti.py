"""Images and masks that a table names become cases; each is built anew when its files change."""

from __future__ import annotations

import csv
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cdistrim.data.building import Kitchen, Made, make_cases
from cdistrim.data.preparation import prepare
from cdistrim.data.scan import CaseExcluded, Exclusion
from cdistrim.data.sources.interface import Listing, image_plan
from cdistrim.data.sources.nifti import NiftiSource
from cdistrim.data.sources.settings import NiftiSettings
from cdistrim.spec import PreprocessingSpec
from tests.prepared_sites import make_site

COLUMNS = ("patient", "image", "mask", "label")
SHAPE = (20, 18, 10)


class Images:
    """Images and masks in a directory, and the table that names them."""

    def __init__(self, directory: Path, columns: tuple[str, ...] = COLUMNS) -> None:
        self.directory = directory
        self.columns = columns
        self.rows: list[tuple[str, ...]] = []
        directory.mkdir(exist_ok=True)

    def patient(self, name: str, label: str, *, size: int = 3, value: int = 1) -> None:
        """A cube of ``size`` voxels to each side of the centre, at 40 HU, in air."""
        mask = np.zeros(SHAPE, dtype=np.uint8)
        x, y, z = (length // 2 for length in SHAPE)
        mask[x - size : x + size, y - size : y + size, z - 2 : z + 2] = value
        ct = np.where(mask > 0, 40, -900)
        ct[0, 0, 0] = zlib.crc32(name.encode()) % 1000  # No two patients have the same scan.
        self.write(f"{name}.nii.gz", ct.astype(np.int16))
        self.write(f"{name}-mask.nii.gz", mask)
        self.row(name, f"{name}.nii.gz", f"{name}-mask.nii.gz", label)

    def write(self, name: str, values: np.ndarray) -> None:
        affine = np.diag([-2.0, -2.0, 3.0, 1.0])
        image = nib.Nifti1Image(values, affine)  # type: ignore[no-untyped-call]
        nib.save(image, self.directory / name)

    def row(self, *cells: str) -> None:
        self.rows.append(cells)
        with (self.directory / "cases.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([self.columns, *self.rows])

    def settings(self, **changes: object) -> dict[str, object]:
        """``data`` of a site with this source."""
        table = str(self.directory / "cases.csv")
        return {"source": "nifti", "table": table, "shape": [10, 9, 5], **changes}

    def listing(self, **changes: object) -> Listing:
        settings = NiftiSettings.model_validate(self.settings(**changes), strict=False)
        return NiftiSource(settings, self.directory).list_cases()


@pytest.fixture
def images(tmp_path: Path) -> Images:
    """None yet."""
    return Images(tmp_path / "images")


def test_an_image_and_a_mask_become_a_case(images: Images) -> None:
    images.patient("a", "1")
    (case,) = images.listing().pending
    source = NiftiSource(NiftiSettings.model_validate(images.settings(), strict=False), Path())
    plan = source.plan((20, 18, 10), PreprocessingSpec(crop="fixed", field_of_view_mm=(40, 36, 30)))
    crop = case.recipe.build(plan)
    assert case.label == 1
    assert crop.region is not None
    assert (crop.volume.shape, crop.region.sum()) == ((20, 18, 10), 6 * 6 * 4)
    inside = crop.volume[crop.region].astype(float)
    np.testing.assert_allclose(inside, (40 + 1000) / 1400, atol=2e-3)


def test_columns_and_classes_have_the_names_that_settings_give(tmp_path: Path) -> None:
    images = Images(tmp_path / "images", ("id", "ct", "tumour", "died"))
    for name, label in (("a", "no"), ("b", "yes"), ("c", "perhaps")):
        images.patient(name, label)
    listing = images.listing(
        columns={"patient": "id", "image": "ct", "mask": "tumour", "label": "died"},
        classes={"no": 0, "yes": 1},
    )
    assert [(one.patient, one.label) for one in listing.pending] == [("a", 0), ("b", 1)]
    assert [one.excluded.reason for one in listing.left_out] == [Exclusion.BROKEN_LABEL]


def test_one_value_of_the_mask_can_be_the_region(images: Images) -> None:
    images.patient("a", "1", value=7)
    plan = NiftiSource(NiftiSettings.model_validate(images.settings(), strict=False), Path()).plan(
        (10, 9, 5), None
    )
    (case,) = images.listing(region=7).pending
    region = case.recipe.build(plan).region
    assert region is not None
    assert region.any()
    (other,) = images.listing(region=3).pending
    with pytest.raises(CaseExcluded) as excluded:
        other.recipe.build(plan)
    assert excluded.value.reason in (Exclusion.NO_REGION, Exclusion.EMPTY_REGION)
    assert case.recipe.digest() != other.recipe.digest()


def test_what_a_row_lacks_leaves_its_patient_out(images: Images) -> None:
    images.patient("good", "1")
    images.row("no-image", "nowhere.nii.gz", "good-mask.nii.gz", "1")
    images.row("no-mask", "good.nii.gz", "", "1")
    images.row("a-directory", ".", "good-mask.nii.gz", "1")
    images.row("endless", "x" * 5000, "good-mask.nii.gz", "1")
    images.row("twice", "good.nii.gz", "good-mask.nii.gz", "1")
    images.row("twice", "good.nii.gz", "no-such.nii.gz", "1")
    listing = images.listing()
    assert [one.patient for one in listing.pending] == ["good"]
    assert {one.patient: one.excluded.reason for one in listing.left_out} == {
        "no-image": Exclusion.NO_SCAN,
        "no-mask": Exclusion.NO_REGION,
        "a-directory": Exclusion.NO_SCAN,
        "endless": Exclusion.NO_SCAN,
        "twice": Exclusion.SEVERAL_CASES,
    }


def test_only_the_case_whose_file_changed_is_built_anew(images: Images, tmp_path: Path) -> None:
    for number in range(12):
        images.patient(f"p{number}", str(number % 2))
    site = make_site(tmp_path / "site", images.settings())
    assert prepare(site, workers=2).built == 12
    assert prepare(site).built == 0
    before = site.data
    images.patient("p3", "1", size=5)
    assert prepare(site).built == 1
    site = make_site(tmp_path / "site", images.settings())
    for part in ("train", "holdout"):
        old, new = getattr(before, part), getattr(site.data, part)
        assert old.ids == new.ids
    changed = sum(
        int(
            (getattr(before, part).volumes != getattr(site.data, part).volumes)
            .any((1, 2, 3, 4))
            .sum()
        )
        for part in ("train", "holdout")
    )
    assert changed == 1


def test_the_same_files_under_several_names_leave_all_of_them_out(
    images: Images, tmp_path: Path
) -> None:
    for number in range(12):
        images.patient(f"p{number}", str(number % 2))
    copy = (images.directory / "p0.nii.gz").read_bytes()
    (images.directory / "copy.nii.gz").write_bytes(copy)
    images.row("somebody-else", "copy.nii.gz", "p0-mask.nii.gz", "0")
    images.row("another-one", "p0.nii.gz", "p0-mask.nii.gz", "1")
    site = make_site(tmp_path / "site", images.settings())
    for _ in range(2):
        made = prepare(site)
        assert made.prepared.excluded == {"SAME_SCAN": 3}
        assert {one.detail for one in made.exclusions.cases.values()} == {"3 patients"}


def test_one_scan_of_two_patients_leaves_both_out_whatever_was_drawn_on_it(
    images: Images, tmp_path: Path
) -> None:
    for number in range(12):
        images.patient(f"p{number}", str(number % 2))
    (images.directory / "alias.nii.gz").symlink_to(images.directory / "p0.nii.gz")
    images.row("p0-again", "alias.nii.gz", "p1-mask.nii.gz", "1")
    made = prepare(make_site(tmp_path / "site", images.settings()))
    assert made.prepared.excluded == {"SAME_SCAN": 2}


def test_files_that_are_none_are_counted_and_the_others_go_on(
    images: Images, tmp_path: Path
) -> None:
    for number in range(12):
        images.patient(f"p{number}", str(number % 2))
    (images.directory / "p0.nii.gz").write_bytes(b"junk")
    (images.directory / "p1-mask.nii.gz").write_bytes(
        (images.directory / "p1-mask.nii.gz").read_bytes()[:60]
    )
    images.write("p2-mask.nii.gz", np.zeros(SHAPE, dtype=np.uint8))
    images.write("p3.nii.gz", np.zeros(SHAPE, dtype=np.int16))
    made = prepare(make_site(tmp_path / "site", images.settings()))
    assert made.prepared.excluded["BROKEN_SCAN"] == made.prepared.excluded["FLAT_SCAN"] == 1
    assert sum(made.prepared.excluded.values()) == 4
    assert sum((*made.prepared.train, *made.prepared.holdout)) == 8


def test_a_mask_in_the_images_place_is_no_scan(images: Images, tmp_path: Path) -> None:
    for number in range(6):
        images.patient(f"p{number}", str(number % 2))
    (images.directory / "p0.nii.gz").write_bytes((images.directory / "p0-mask.nii.gz").read_bytes())
    made = prepare(make_site(tmp_path / "site", images.settings()))
    assert made.prepared.excluded == {"FLAT_SCAN": 1}


@pytest.mark.parametrize(("units", "end"), [(-5000, "lower"), (900, "upper")])
def test_a_scan_beyond_the_window_is_told(units: int, end: str, images: Images) -> None:
    images.patient("p0", "0")
    images.write("p0.nii.gz", np.full(SHAPE, units, dtype=np.int16))
    (pending,) = images.listing().pending
    plan = image_plan((10, 9, 5), None)
    found: list[Made] = []
    make_cases(
        {"0": pending.recipe},
        Kitchen("nifti", plan, None),
        workers=0,
        told=lambda _, one: found.append(one),
    )
    (made,) = found
    assert made.excluded is not None
    assert made.excluded.reason is Exclusion.FLAT_SCAN
    assert f"the {end} end of the window" in made.excluded.detail
