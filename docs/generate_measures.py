"""Write the pages on measures and quality flags from the registries of the code.

Run ``python docs/generate_measures.py`` after a change of ``hilum.measures.registry`` or
``hilum.core.flag_codes``; a test fails while the pages are older than the code.
"""

from __future__ import annotations

from pathlib import Path

from hilum.anatomy.pleura import SIDE_RULE
from hilum.cli.console import COMMAND_LINE
from hilum.core.flag_codes import FlagCode, Topic
from hilum.core.flag_limits import LIMITS
from hilum.core.labels import LOBES, LUNGS, PLEURA
from hilum.core.sentences import worded
from hilum.measures import REGISTRY, Group, MeasureInfo, edge
from hilum.tasks.airways.arteries import ARTERY_RULE
from hilum.tasks.airways.calibre import CALIBRE_SLICE_MM, MAIN_SLICE_MM
from hilum.tasks.airways.definitions import AIRWAY_MEASURES, GENERATIONS
from hilum.tasks.airways.sections import RAYS
from hilum.tasks.airways.tree import BRANCH_RULE, LOBE_RULE
from hilum.tasks.airways.tube_fit import WALL_HU
from hilum.tasks.lobes.frames import Fissure
from hilum.tasks.lobes.measures import FISSURE_SEEN
from hilum.tasks.pleura.measures import FLUID_MASS

CONCEPTS = Path(__file__).parent / "concepts"
_MADE = "<!-- Made by docs/generate_measures.py; change the registry or that script, not this page. -->\n"

_GROUPS = {
    Group.VOLUME: "Volume",
    Group.MASS: "Air and weight",
    Group.DENSITY: "Density, shares and ratios",
}

_MEASURES_INTRO = f"""# Measures

Every value is computed from the HU of the scan as they are in the file, on the grid as it is in the file,
over the voxels that the label map marks. Nothing is resampled, clipped or smoothed before; only a
calibration that the user asks for (`--calibrate`) changes HU, and a flag says how. The formula id
stands beside each value in `measures.csv`; `measures.json` holds id, version, formula and source of every
formula. The version is raised whenever the same voxels would give another value.

What belongs to a lung. {LUNGS.definition} {LUNGS.note}

## Where the values are

`measures.json` (schema `hilum.measures/2`) has an entry for each task; there is no unit in an id:

    {{
      "schema": "hilum.measures/2",
      "hilum": "...",
      "quality": [{{"code": "cut_top", "severity": "warning", "message": "...", "regions": ["right_lung"]}}],
      "formulae": {{"volume": {{"title": "Volume", "unit": "mL", "formula_id": "volume", ...}}, ...}},
      "tasks": {{
        "lungs": {{
          "label_contract": {{"name": "lungs", "version": "1.0", "labels": {{"1": {{...}}, ...}}, ...}},
          "model": {{"name": "lungs", "version": "...", "sha256": "..."}},
          "confidence": {{"failure": 0.02, "signs": {{...}}}},
          "regions": {{
            "right_lung": {{
              "volume": {{"value": 2512.4, "unit": "mL"}},
              "tissue_mass": {{"value": null, "reason": "The right lung is cut at the top."}}
            }}
          }}
        }}
      }}
    }}

`hilum.measures.schema.MeasuresFile` is that schema in Python, and `hilum.results.read_measures` reads a file
by it. `measures.csv` and `Result.to_frame()` are the same values as a long table, one row per task, region and
measure. `run.json` (schema `hilum.run/2`) names label contract, model and confidence of each task as well.

## Model of air and tissue

A voxel is taken as a mixture of air (-1000 HU, no mass) and tissue (0 HU, 1 g/mL), as is usual in
quantitative CT of the lung (Cressoni 2013; Protti 2014):

- air = V x (-HU / 1000), with HU clamped to -1000 <= HU <= 0. A voxel at 0 HU or above holds no air.
- mass = V x (HU + 1000) / 1000, with HU clamped to HU >= -1000. There is no upper clamp: a calcified nodule
  or a vessel with contrast agent weighs more than water.
- Voxels above {LIMITS.metal_hu} HU are metal (a lead, clip, valve or marker). They count in `volume` and in
  no other measure; n below is without them, and the flag `metal` says how many mL they are. Voxels that metal
  fills in part, and its streaks, are not distinguished from tissue.

Where all HU lie in [-1000, 0], air (mL) + mass (g, at 1 g/mL) = volume (mL). This identity is checked in
every run, together with the count of voxels; were it broken, the values would be withheld
(`identity_failed`).

## Weight and air without the wall

A mask is made of whole voxels, and the blur of a scanner is wider than one, so the voxels at the pleura and
round the vessels of the hilum carry chest wall, diaphragm and mediastinum. That tissue is five times denser than
the lung, and `tissue_mass` counts it, as is usual in the field. `tissue_mass_edge` and `air_volume_edge` take it
out. Compare `tissue_mass` with published numbers, and `tissue_mass_edge` between scans of other kernels and slices
([figures](../results/kernels.md)).

- The boundary is what lies within {edge.BAND_MM:g} mm of the surface of the mask, at least one voxel along each axis,
  inside and outside. Between two lungs that touch, and where the scan ends, there is no boundary.
- share = (HU - wall) / (lung - wall), clipped to 0..1. *Lung* and *wall* are the median HU of the
  {edge.RING_MM:g} mm (at least one voxel) behind the boundary on either side, over {3 * edge.CUBE_MM:g} mm.
- A voxel inside counts as its share of lung with the density of *lung*. A voxel outside adds its share, up to
  {edge.MOST_OUTSIDE:g}: blur moves as much lung out of the mask as wall into it, and a voxel outside that is mostly
  lung or air is one that the mask leaves out, as a bronchus.
- No correction where *lung* is above {edge.DENSE_HU:g} HU (dense lung at the wall cannot be distinguished from the wall) or
  *wall* is below {edge.WALL_HU:g} HU (air, not tissue). Lung and fluid that the mask takes in by mistake stay in
  the value but for the boundary.
- Dense tissue thinner than the boundary (a small vessel or plaque at the pleura) is taken as wall.
- Where over a tenth of the boundary of a region has no medians near it, the value is null. In thick slices the
  boundary is one slice deep; in a single slice it lies in its plane alone.

## What the values do not mean

- **CT lung weight contains the blood in the lung.** It is not extravascular lung water and not the weight
  of a drained lung. In 36 pigs it exceeded the weight on the balance by 111 g of 371 g, and by 9 g once the
  blood was out (Protti 2014). Contrast agent adds to it.
- **Volume is that of this breath.** It is not total lung capacity unless the patient was at full
  inspiration.
- **LAA is not emphysema by itself.** Kernel, slice thickness, dose and depth of breath move it: between
  kernels by some seven points (Gallardo-Estrella 2016). `laa_950` counts HU < -950; other programs count HU
  <= -950, which differs by one HU step.
- **HAA is not fibrosis by itself.** Vessels, poor inspiration and dependent density count too. The range is
  half-open, [-600, -250); indices without the upper end are other numbers.
- **Aeration by volume and by mass differ.** A compartment of dense lung holds little volume and much mass.
  State which one is meant.
- No value is compared with a normal range: published ranges apply to their own scanner protocol.

## Regions

`right_lung`, `left_lung` and `lungs` (both), by the patient's own side. Each is split in thirds of the
lung's extent, in millimetres along the axes of the patient, from the outer face of the first voxel to that
of the last:

| suffix | axis |
|---|---|
| `_ventral`, `_mid_ap`, `_dorsal` | front to back |
| `_apical`, `_middle`, `_basal` | head to foot |

Each lung has thirds of its own extent; `lungs_dorsal` is the union of `right_lung_dorsal` and
`left_lung_dorsal`. Thirds of extent hold unequal volumes. They are anatomical, not gravitational: in a
prone patient the dorsal third is the upper one. On an oblique grid a voxel belongs where its centre lies.

## When a value is unknown

A value that cannot be known is null with a reason, never zero:

- a quality flag forbids it (see [quality](quality.md)): a lung cut by the field of view has no volume, air,
  weight or thirds, while its densities are those of the part that was imaged;
- the file holds no voxel size: no volume, air or weight, while percentages and densities stand;
- a lung is not in the mask: nothing of it. With only one lung found, volume, air, weight and all thirds of
  `lungs` are unknown, while the densities of `lungs` are those of the lung that was found;
- a lung is fewer than three voxel layers thick along an axis: no thirds along it (a single slice has no
  apical third);
- the formula is not defined: skewness of a constant, share of the mass where the mass is zero.

## Formulae

Intervals are half-open, [low, high). HU means the value of the voxel, V its volume, n the number of voxels.
"""

_PLEURA = f"""
## Pleural fluid and free gas

The task `pleura` measures what lies beside the lungs. {PLEURA.definition}

| region | measures |
|---|---|
| `right_pleural_fluid`, `left_pleural_fluid`, `pleural_fluid` (both) | `volume`, `fluid_mass`, `mean_hu` |
| `right_pleural_gas`, `left_pleural_gas`, `pleural_gas` (both) | `volume` |

{SIDE_RULE} Distances are in millimetres, from voxels about 3 mm apart.

`volume` and `mean_hu` have the formulae above, over the voxels of the region. Where none was found, the volume
is 0 mL and the mass 0 g, since the network has looked, and the mean HU is null with a reason. A flag that
withholds a group of measures of a lung withholds it for the pleura of that side.

The flags `pleural_fluid` and `pneumothorax` give the mL by side whether the task is asked for or not.

The volume is a lower estimate: thin and loculated fluid, and gas round a collapsed lung, are found in part. The
mean HU does not distinguish transudate, exudate and blood: voxels at the rim hold lung or chest wall in part.
"""

_LOBES = f"""
## Lobes

The task `lobes` divides the lungs. {LOBES.definition}

| region | measures |
|---|---|
| {", ".join(f"`{region.name}`" for region in LOBES.regions)} | every measure of the lungs |
| {", ".join(f"`{fissure.region}`" for fissure in Fissure)} | `{FISSURE_SEEN.id}` |

A flag that withholds a group of measures of a lung withholds it for the lobes of that lung; where the lung is cut by
the top or the bottom of the scan, for the lobes that lie there. Thirds of lobes are not measured. Where a fissure is not seen, the border is that of a shape prior: see the
[model card](../models/lobes.md), which also says how wrong volumes then are.
"""

_QUALITY_INTRO = """# Quality flags

The gate checks the scan before segmentation and the lungs after it. Each finding is a flag with a code, a
severity and one sentence that says what was seen and what to do. Flags stand in `measures.json`, `run.json`
and the report, and `hilum check` prints them alone.

| severity | meaning |
|---|---|
| error | values that depend on it are withheld (null with a reason) |
| warning | values stand, but a person should look |
| info | worth knowing |

A flag may concern one lung. If an amount of one lung is withheld, that of both together is too.

The limits were chosen by hand so that valid scans raise no flag: in scans in true HU the air round the
body was found within 41 HU of -1000, in rescaled ones it was off by over 150.
"""


#: Seen in benchmarks/airway_calibre.py, true lumen masks.
_FIGURES = """### How far off

Four digital chests at 1 mm (seeds 200 and 201, noise 15 and 40 HU), tree built from the true lumen mask
(`benchmarks/airway_calibre.py`): median absolute error, range over the chests. They are not fully blind: that the fit needs
a term for sharp kernels was seen on two of them; its form was tried on another chest.

| kernel | lumen, mm | branches a chest | lumen by the fit, mm | wall, mm | wall area, points | bias of half-maximum, lumen, mm |
|---|---|---|---|---|---|---|
| standard | 3 and more | 65 to 87 | 0.04 | 0.02 to 0.03 | 1.0 to 1.4 | -0.44 to -0.43 |
| standard | 2 to 3 | 113 to 146 | 0.04 to 0.05 | 0.03 | 1.2 to 1.5 | -0.64 to -0.60 |
| standard | 1.5 to 2 | 82 to 99 | 0.06 to 0.07 | 0.02 | 1.2 to 1.6 | -0.39 to -0.31 |
| standard | 1 to 1.5 | 84 to 117 | 0.09 to 0.11 | 0.02 to 0.03 | 1.9 to 2.6 | -0.38 to -0.32 |
| sharp | 3 and more | 65 to 87 | 0.04 to 0.05 | 0.03 to 0.05 | 1.1 to 1.7 | -0.41 to -0.40 |
| sharp | 2 to 3 | 113 to 146 | 0.04 to 0.05 | 0.03 | 1.4 to 2.0 | -0.63 to -0.62 |
| soft | 3 and more | 65 to 87 | 0.05 | 0.02 | 0.8 to 1.0 | -0.73 to -0.69 |
| soft | 2 to 3 | 113 to 146 | 0.07 to 0.08 | 0.02 to 0.03 | 1.0 to 1.4 | -0.63 to -0.56 |

Soft and sharp are filters on the slices of the standard kernel, so their noise is filtered, too. Nine of ten lumens
of 3 mm and more are within 0.22 mm with any kernel. These chests have walls of the HU that the fit assumes, straight
sections of one width and no motion; patients are less kind, and no scan of a patient here comes with known lumens.
"""
_ARTERY_RULE = ARTERY_RULE[:1].upper() + ARTERY_RULE[1:]
#: Voxels up to which arteries are measured, without the slack for headers that round.
ARTERY_MM = LIMITS.vessels_thin_mm
#: Seen in benchmarks/airway_arteries.py.
_ARTERY_FIGURES = """Two digital chests that nothing was chosen on (seeds 200 and 201, 1 mm, 15 HU), with the airways and the vessels that
hilum finds (`benchmarks/airway_arteries.py`), range over both:

| lumen, mm | with an artery | artery, median absolute error, mm | ratio, median absolute error | bias of the ratio | ratio within 15 % |
|---|---|---|---|---|---|
| 2 to 3 | 87 of 98, 103 of 126 | 0.07 to 0.10 | 0.032 to 0.033 | -0.023 to -0.013 | 0.78 to 0.89 |
| 3 to 5 | 42 of 51, 59 of 65 | 0.07 | 0.013 to 0.016 | -0.012 to -0.008 | 0.85 to 0.90 |
| 5 to 8 | 11 of 16, 10 of 16 | 0.22 to 0.24 | 0.018 to 0.026 | -0.018 to -0.017 | 0.80 to 0.91 |
| all | 140 of 165, 172 of 207 | 0.08 to 0.10 | 0.022 to 0.029 | -0.017 to -0.012 | 0.80 to 0.89 |

With 40 HU of noise, on an earlier chest of seed 200 with other trees, 134 of 166 branches had an artery, off by 0.09 mm, and the
ratio was off by 0.026. The median of all branches was 0.700 and 0.768, drawn 0.714 and 0.779. One branch in nine to one in
five is off by more than 15 %, on another
chest mostly since a neighbour was taken for the artery, so look at the ratio of a single branch before you use it; near the hilum
the artery is off by most. The arteries of these chests run beside their airways more regularly than a patient's.
"""
_AIRWAYS = f"""# Airways

The task `airways` marks lumen and wall from the trachea to the periphery ([how](../models/airways.md)). This page
says how the tree is built from the lumen, how lumen and wall are measured, and what each value means.

    hilum segment scan.nii.gz -o results --task lungs,airways

| file | content |
|---|---|
| `airway_branches.csv` | one row a branch: parent, generation, side, lobe, length, both ends, lumen and wall by both methods, artery |
| `airway_tree.json` | the same with centrelines, radii of the mask, and lumen and wall every 2 mm; the blur that was taken off |
| `airway_tree.swc` | the tree as points with radius and parent, types 5 trachea, 6 right, 7 left, 11 to 15 the lobes in the order of their labels |
| `airways.glb`, `airways.stl` | surface of the lumen; in the GLB one mesh a generation |

Positions are in RAS millimetres.

## The tree

The lumen is thinned to its centreline. Loops are cut where the lumen is narrowest, and spurs removed:
{BRANCH_RULE}. Lengths are those of smoothed centrelines.

- **Generation**: the trachea is 0, the main bronchi 1, one more at each bifurcation; a trifurcation counts once.
  The trachea is all from the top down to the bifurcation that parts the lungs, so a bronchus that leaves it above
  is of generation 1. These are generations of what was found: where a branch was missed, those beyond count one
  less than they should.
- **Side**: that of the lung in which most of what hangs on the branch lies.
- **Lobe**, where `lobes` is among the tasks: {LOBE_RULE}.
  On a digital chest (seed 200, 15 HU, lobes and airways as found) all 410 branches with a lobe had the lobe that was drawn.
- What leaves the trachea and never reaches a lung is left out, and so are other parts of this kind below 15 mm.

Counts and lengths depend on what a scan shows: on its slices, dose, kernel and depth of breath. Compare like scans
only.

## Lumen and wall

Every 2 mm the planes at right angles on the centreline are averaged along {RAYS} rays. Two methods read them.

**Fit** (ids ending in `.fit`). A lumen of radius R and a wall of thickness w, blurred as the scan blurs, are fitted
to all samples at once:

    HU(r) = outside + (wall - outside) D(r, R + w) + (air - wall) D(r, R)

D is a disc convolved with the point spread of the scan. Known are the wall ({WALL_HU:g} HU), the air in this trachea and
what lies outside (the darker rays beyond the wall); found are R, w, the centre and, in wide airways, how far the
section is from a circle. Rays that meet a bright neighbour, such as the artery beside a bronchus, are left out.

**Point spread.** Its width within the slices is measured at the inner wall of this trachea, with the edge
enhancement of a sharp kernel if there is one; across the slices it follows from their thickness. The report and
`airway_tree.json` give both, and say so where they are assumed since the trachea shows too little.

**Half-maximum** (ids ending in `.fwhm`), the field's usual rule: the edges lie half way between the peak of the wall
and the lowest HU inward and outward. The blur makes it read narrow lumens too small and walls too thick. It stands
beside the fit for comparison with published numbers, most of which are of this kind.

A value of a branch is the median over the middle 60 % of its length outside its parent. A wall with soft tissue
round it, as that of the trachea, has no outer edge: its thickness is null with a reason.

{_FIGURES}
## The artery beside a branch

Where `vessels` is among the tasks (`--task lungs,airways,vessels`) each branch gets the diameter of its artery, and
`airway_artery_ratio` is the lumen by the artery, bronchus to artery ratio or BAR. {_ARTERY_RULE}. The
diameter is that of a solid cylinder with the HU of blood in this scan, blurred by the point spread of the scan, fitted to
sections across the vessel; rays that meet the wall of the airway are left out. It is the inner diameter of the airway
by the outer one of the artery: other programs take other borders, so compare like with like. Without the task `vessels`
the ratio is null with a reason.

{_ARTERY_FIGURES}
## What the values do not mean

- The fit takes the wall to be soft tissue of {WALL_HU:g} HU. Calcified walls, contrast agent and mucus that lines
  a lumen move it; a lumen filled with mucus is not found at all.
- Motion, most near the heart, blurs beyond what the trachea shows, and the fit does not know of it.
- The two Pi10 are different numbers with one name. State the id. Values by the fit are lower than published ones
  by half-maximum.
- Taper is a property of the branch as it was found; one that spans a missed bifurcation tapers.
- `airway_lung_ratio` leaves the trachea out, since its length in a scan differs.

## Thick slices

Above {CALIBRE_SLICE_MM:g} mm lumen and wall are measured in the trachea and the main bronchi alone, above {MAIN_SLICE_MM:g} mm in the
trachea alone; other values are null with a reason, and so is the ratio to the artery above {ARTERY_MM:g} mm. On slices of
8 mm of one patient in two kernels the trachea moved by 0.6 % by the fit and by 4.0 % by half-maximum; the main bronchi,
which run obliquely through such slices, differed by 0.7 mm and are withheld ([table](../results/kernels.md)).

## Regions

`airways`, `right_airways`, `left_airways`: whole trees. `trachea`, `right_main_bronchus`, `left_main_bronchus`.
`airways_generation_{{n}}`, `right_airways_generation_{{n}}`, `left_airways_generation_{{n}}` for n from {GENERATIONS[0]} to {GENERATIONS[-1]}.
Where `lobes` is among the tasks also `left_upper_lobe_airways`, `left_lower_lobe_airways`, `right_upper_lobe_airways`,
`right_middle_lobe_airways` and `right_lower_lobe_airways`, with the measures of a generation.
`airway_lumen`, `airway_wall`: the labels.

A value is null with a reason where nothing was found, where a quality flag forbids it, and where a rule below asks
for more branches than there are.

## Formulae
"""


def airways_page() -> str:
    """Return the page on the airways as Markdown."""
    return "\n".join([_MADE, _AIRWAYS, *(_measure(entry) for entry in AIRWAY_MEASURES.values())])


def measures_page() -> str:
    """Return the page on measures as Markdown."""
    parts = [_MADE, _MEASURES_INTRO]
    for group, title in _GROUPS.items():
        parts.append(f"\n### {title}\n")
        parts += [_measure(entry) for entry in REGISTRY.values() if entry.group is group]
    parts += [_PLEURA, _measure(FLUID_MASS), _LOBES, _measure(FISSURE_SEEN)]
    return "\n".join(parts)


def quality_page() -> str:
    """Return the page on quality flags as Markdown."""
    parts = [_MADE, _QUALITY_INTRO]
    for topic in Topic:
        parts.append(f"\n## {topic.value}\n")
        parts.append("| code | title | severity | raised when | what to do |\n|---|---|---|---|---|")
        parts += [_flag(code) for code in FlagCode if code.topic is topic]
    return "\n".join(parts) + "\n"


def _measure(entry: MeasureInfo) -> str:
    low, high = ("" if end is None else f"{end:g}" for end in entry.valid_range)
    rows = [
        f"#### `{entry.id}`{f' ({entry.unit})' if entry.unit else ''}: {entry.title}\n",
        f"- Formula (`{entry.formula_id}`, version {entry.formula_version}): {entry.formula}",
        f"- Source: {entry.source}",
        f"- Affected by: {', '.join(entry.invalidated_by)}",
    ]
    if low or high:
        rows.append(f"- Can be: {f'{low} to {high}' if low and high else f'{low} and above'}")
    if entry.undefined:
        rows.append(f"- Unknown where: {entry.undefined[0].lower()}{entry.undefined[1:].rstrip('.')}")
    return "\n".join(rows) + "\n"


def _flag(code: FlagCode) -> str:
    severities = ", ".join(severity.value for severity in code.severities)
    meaning, todo = (worded(text, COMMAND_LINE) for text in (code.meaning, code.todo))
    return f"| `{code}` | {code.heading} | {severities} | {meaning} | {todo} |"


def main() -> None:
    """Write the pages."""
    CONCEPTS.mkdir(exist_ok=True)
    for name, text in (
        ("airways.md", airways_page()),
        ("measures.md", measures_page()),
        ("quality.md", quality_page()),
    ):
        (CONCEPTS / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
