"""Both reports as pages: self-contained, well-formed, legible, escaped, the same in all places."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import importlib.util
import re
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cohorts.errors import DesignError
from workflows.figures import style as look
from workflows.reports import content as c
from workflows.reports import figures, genome_figures, people_figures
from workflows.reports.binning import histogram, pca_map
from workflows.reports.cohort import build_cohort_report
from workflows.reports.page import fingerprint
from workflows.reports.patient import answer_in_words, build_patient_report, out_of_hundred
from workflows.reports.waterfall import waterfall

VOID = {"meta", "br", "link", "img", "hr", "input", "wbr"}


def _example() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "reports_example", Path(__file__).with_name("reports_example.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = _example()


class Page(HTMLParser):
    """Checks nesting and collects what tests ask about."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        self.faults += [f"never closed: {tag}" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"crossed: {tag}")

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def cohort_html() -> str:
    return build_cohort_report(example.cohort())


@pytest.fixture(scope="module")
def patient_html() -> str:
    return build_patient_report(example.patient())


@pytest.fixture(scope="module")
def abstention_html() -> str:
    return build_patient_report(example.patient(example.abstention()))


@pytest.fixture(params=["cohort_html", "patient_html", "abstention_html"])
def html(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def test_pages_refer_to_nothing_outside_themselves(html: str) -> None:
    assert not re.findall(r"https?:|//[a-z]|@import|<script|<link|<img|<iframe|javascript:", html)
    assert set(re.findall(r"url\((.)", html)) <= {"#"}
    assert all(
        (value or "").startswith("#")
        for _, attrs in Page(html).tags
        for name, value in attrs.items()
        if name in ("href", "src", "xlink:href")
    )


def test_pages_are_well_formed_with_one_heading_a_language_and_unique_ids(html: str) -> None:
    page = Page(html)
    assert page.faults == []
    assert next(attrs for tag, attrs in page.tags if tag == "html")["lang"] == "en-GB"
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    references = set(re.findall(r"url\(#([^)]+)\)", html)) | {
        (attrs.get("href") or "#")[1:] for _, attrs in page.tags if "href" in attrs
    }
    assert references <= set(ids)
    assert any(tag == "h1" for tag, _ in page.tags)


def test_headings_never_skip_a_level(html: str) -> None:
    levels = [int(tag[1]) for tag, _ in Page(html).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_every_picture_has_words_or_is_hidden_from_readers_aloud(html: str) -> None:
    page = Page(html)
    ids = {attrs.get("id") for _, attrs in page.tags}
    pictures = [attrs for tag, attrs in page.tags if tag == "svg"]
    for attrs in pictures:
        if attrs.get("aria-hidden") != "true":
            assert attrs["role"] == "img"
            assert set((attrs["aria-labelledby"] or "").split()) <= ids
    for title in re.findall(r"<svg[^>]*role=\"img\"[^>]*>\s*<title[^>]*>([^<]*)</title>", html):
        assert len(title) > 10
    assert len(re.findall(r'role="img"', html)) == len(
        re.findall(r"<svg[^>]*role=\"img\"[^>]*>\s*<title", html)
    )


def test_cohort_page_stays_small_and_is_the_same_bytes_twice(cohort_html: str) -> None:
    assert len(cohort_html.encode()) < 3_000_000
    assert build_cohort_report(example.cohort()) == cohort_html


def test_cohort_page_stays_small_with_a_million_variants() -> None:
    scan = example.scan(np.random.default_rng(2), "big", "Big", "linear", "SD", 1_000_000)
    svg = genome_figures.manhattan_figure(scan) + genome_figures.qq_figure(scan)
    assert len(svg) < 600_000


def test_a_hostile_label_is_text_and_never_markup() -> None:
    bad = '<script>alert(1)</script>"><b onmouseover=x>&'
    base = example.cohort()
    hostile = dataclasses.replace(
        base,
        title=bad,
        phenotypes=(dataclasses.replace(base.phenotypes[0], label=bad, definition=bad),),
        associations=(dataclasses.replace(base.associations[0], label=bad),),
        pca=dataclasses.replace(
            base.pca, groups=(dataclasses.replace(base.pca.groups[0], label=bad), *base.pca.groups[1:])
        ),
    )
    html = build_cohort_report(hostile)
    assert "<script" not in html
    assert "onmouseover" not in str(Page(html).tags)
    assert Page(html).faults == []
    one = dataclasses.replace(example.outcome(), name=bad)
    person = build_patient_report(example.patient(one))
    assert "<script" not in person
    assert Page(person).faults == []


def test_what_a_study_does_not_say_has_neither_a_heading_nor_a_line_of_contents() -> None:
    whole = example.cohort()
    bare = c.CohortContent(
        title="Bare",
        created="2024-01-01",
        index_date="2012-01-01",
        lay_summary=("One.",),
        data_use=("Two.",),
        findings=(),
        receipts=whole.receipts,
    )
    page = Page(build_cohort_report(bare))
    assert page.faults == []
    ids = [attrs["id"] for tag, attrs in page.tags if tag == "section" and "id" in attrs]
    assert ids == ["methods", "limits", "receipts"]
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links == [f"#{name}" for name in ids]


def test_every_section_of_a_full_study_is_in_its_contents_once() -> None:
    page = Page(build_cohort_report(example.cohort(variants=200)))
    ids = [attrs["id"] for tag, attrs in page.tags if tag == "section" and "id" in attrs]
    assert len(ids) == 10
    assert [attrs["href"] for tag, attrs in page.tags if tag == "a"] == [f"#{name}" for name in ids]


def test_exposures_and_outcomes_stand_beside_measurements() -> None:
    words = Page(build_cohort_report(example.cohort(variants=200))).words
    assert "Exposures Fine particles 8,500 people; mean 10.2 (SD 1.7)" in words
    assert "Coronary heart disease 9,210 84,900 575 under 10 6.8 6.2 to 7.3" in words


def test_how_common_and_how_often_new_are_drawn_and_told_where_any_is_shown() -> None:
    whole = example.cohort(variants=200)
    page = build_cohort_report(whole)
    words = Page(page).words
    assert "How common, and how often new" in words
    assert "4.2% of everybody on the index date" in words
    assert page.count("prevalence-t2d-t") == page.count("incidence-t2d-t") == 2
    # Of asthma every year is hidden, and of coronary disease everything.
    assert "prevalence-asthma-t" in page
    assert "incidence-asthma-t" not in page
    assert "prevalence-chd-t" not in page
    bare = [dataclasses.replace(p, prevalence=(), incidence=()) for p in whole.phenotypes]
    assert "How common" not in build_cohort_report(dataclasses.replace(whole, phenotypes=tuple(bare)))


def test_sentence_icons_and_table_say_the_same(patient_html: str) -> None:
    words = Page(patient_html).words
    assert (
        "Out of 100 women aged 52 like this patient, about 8 (plausible range 5 to 12) would develop "
        "coronary heart disease in 10 years; 92 would not. Average for age and sex: 5 ." in words
    )
    content = example.patient()
    assert "8</strong> (plausible range 5 to 12)" in answer_in_words(content, content.outcomes[0])
    first = patient_html[: patient_html.index("The same in numbers")]
    arrays = re.findall(r'<svg class="chart" viewBox="0 0 204 262".*?</svg>', first, re.S)
    looks = [re.findall(r'<path d="[^"]+" fill="([^"]+)"', svg) for svg in arrays]
    assert [len(icons) for icons in looks] == [100, 100]
    own = {look: looks[0].count(look) for look in set(looks[0])}
    assert own == {"#0b4f7d": 5, "url(#o0-this-dark)": 3, "url(#o0-this-light)": 4, "#ffffff": 88}
    assert looks[1].count("#0b4f7d") == 5
    rows = re.findall(
        r'<th scope="row">[^<]*</th>(?:<td class="n">([^<]*)</td>)<td class="n">[^<]*</td>'
        r'<td class="n">([^<]*)</td>',
        patient_html,
    )
    assert rows[:3] == [("8", "92"), ("7", "93"), ("5", "95")]
    assert all(int(would) + int(not_) == 100 for would, not_ in rows)


@pytest.mark.parametrize("risk", [0.0, 0.001, 0.004999, 0.005, 0.08499, 0.085, 0.5, 0.994, 0.996, 1.0])
def test_would_and_would_not_always_make_a_hundred(risk: float) -> None:
    n = out_of_hundred(risk)
    assert 0 <= n <= 100
    assert abs(n - 100 * risk) <= 0.5 + 1e-6
    outcome = dataclasses.replace(
        example.outcome(),
        result=c.RiskResult(
            integrated=c.Risk(risk=risk, low=risk * 0.6, high=min(1.0, risk * 1.5)),
            average=c.AverageRisk(risk=risk),
            clinical_only=None,
            contributions=(),
            genetic=None,
        ),
    )
    page = Page(build_patient_report(example.patient(outcome)))
    assert page.faults == []
    shown = re.search(r"about (\d+) \(plausible.*? years; (\d+) would not", page.words)
    if 0 < n < 100:
        assert shown is not None
        assert int(shown[1]) + int(shown[2]) == 100
    else:
        assert "fewer than 1" in page.words
        assert "more than 99" in page.words


def test_contributions_that_do_not_add_up_are_refused() -> None:
    outcome = example.outcome()
    wrong = dataclasses.replace(outcome.result, contributions=outcome.result.contributions[:-1])
    with pytest.raises(DesignError, match="add up"):
        build_patient_report(example.patient(dataclasses.replace(outcome, result=wrong)))


def test_many_small_factors_become_one_row_that_keeps_the_sum() -> None:
    outcome = example.outcome()
    small = tuple(c.Contribution(label=f"Factor {k}", value="", points=0.05) for k in range(20))
    parts = (*small, c.Contribution(label="Genetic score", value="", points=2.2, kind="genetic"))
    result = dataclasses.replace(outcome.result, contributions=parts)
    html = build_patient_report(example.patient(dataclasses.replace(outcome, result=result)))
    assert "13 other factors" in html
    assert "+0.7" in html


def test_a_long_label_ends_before_its_value() -> None:
    outcome = example.outcome()
    long = "Fine particles (PM2.5) where the person lived, five-year mean"
    parts = (
        dataclasses.replace(outcome.result.contributions[0], label=long, value="8.5 µg/m³"),
        *outcome.result.contributions[1:],
    )
    bars = waterfall(dataclasses.replace(outcome.result, contributions=parts)).rows
    assert bars[1].label.endswith("…")
    assert all(6.6 * (len(bar.label) + len(bar.value)) < 320 for bar in bars)


def test_a_risk_equal_to_the_average_is_called_the_same() -> None:
    outcome = example.outcome()
    equal = dataclasses.replace(outcome.result, average=c.AverageRisk(risk=0.082), contributions=())
    words = Page(build_patient_report(example.patient(dataclasses.replace(outcome, result=equal)))).words
    assert "That is the same as average." in words


def test_far_values_do_not_squeeze_the_rest_and_are_counted() -> None:
    values = np.concatenate([np.random.default_rng(1).normal(size=990), np.full(30, 400.0)])
    bins = histogram(values, label="x", bins=25, threshold=(-6.0, 6.0))
    assert bins.edges[0] <= -6 <= 6 <= bins.edges[-1] < 20
    assert bins.beyond == 30
    assert "30 beyond the axis" in people_figures.histogram_figure(bins, name="x")


def test_abstention_gives_reasons_and_no_number(abstention_html: str) -> None:
    words = Page(abstention_html).words
    body = words[words.index("We do not give") : words.index("Draft until signed.")]
    assert "Too little of the genetic score could be read" in body
    assert not re.search(r"\d", body.replace("type 2 diabetes", ""))
    assert not re.search(r"percentile|%|out of 100", words, re.I)


def test_an_abstention_cannot_be_made_without_a_reason() -> None:
    with pytest.raises(ValueError, match="reason"):
        c.Abstention(reasons=())


def test_a_risk_outside_its_range_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="range"):
        c.Risk(risk=0.2, low=0.21, high=0.3)


def test_each_printed_page_carries_banner_draft_mark_and_receipts(patient_html: str) -> None:
    sheets = patient_html.count('class="sheet spread"')
    assert sheets == 4
    assert patient_html.count("Research use only.") == sheets
    assert patient_html.count("draft until signed</span>") == sheets
    assert [f"Page {k} of 4" in patient_html for k in range(1, 5)] == [True] * 4
    assert patient_html.count(fingerprint(example.patient())[:16]) == sheets


def test_a_report_whose_time_is_over_says_so_on_its_page_its_leaf_and_where_it_is_signed() -> None:
    looking_back = example.replace(example.patient(), expires="2013-01-01")
    html = build_patient_report(looking_back)
    words = Page(html).words
    assert words.count("This report speaks as of 2012-01-01, not of today.") == 2
    assert "10 years from 2012-01-01" in words
    assert "Out of date since 2013-01-01" in words
    assert "Then valid until" not in words
    assert "This looks back to 2012-01-01. It does not tell your risk today." in words
    assert "next 10 years" not in words
    leaf = re.search(r'class="leaf".*?</section>', html, re.S)
    assert leaf is not None
    assert _reading_grade(" ".join(re.findall(r"<p>(.*?)</p>", leaf[0], re.S))) < 6.0
    assert "not of today" not in Page(build_patient_report(example.patient())).words


def test_the_report_gives_no_advice_and_no_relative_risk(patient_html: str, abstention_html: str) -> None:
    for html in (patient_html, abstention_html):
        words = Page(html).words.lower()
        for phrase in (
            "statin",
            "should take",
            "recommend",
            "prescrib",
            "hazard ratio",
            "odds ratio",
            "times more",
        ):
            assert phrase not in words


def _reading_grade(text: str) -> float:
    """Flesch-Kincaid grade (Kincaid 1975); syllables as groups of vowels, a final silent e left out."""
    words = re.findall(r"[A-Za-z']+", text)
    sentences = len(re.findall(r"[.!?](?:\s|$)", text))
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", re.sub(r"e$", "", w.lower())))) for w in words)
    return 0.39 * len(words) / sentences + 11.8 * syllables / len(words) - 15.59


def test_the_patients_words_can_be_read_at_eleven(patient_html: str, abstention_html: str) -> None:
    for html in (patient_html, abstention_html):
        leaf = re.search(r'class="leaf".*?</section>', html, re.S)
        assert leaf is not None
        text = " ".join(re.findall(r"<p>(.*?)</p>", leaf[0], re.S))
        assert _reading_grade(text) < 6.0


def _luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(a: str, b: str) -> float:
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_palette_passes_wcag_aa_and_survives_greyscale() -> None:
    style = (Path(figures.__file__).parent / "style.css").read_text()
    css = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", style))
    for name in ("ink", "muted", "blue", "teal", "orange"):
        assert css[name] == getattr(look, name.upper())
    for colour in look.TEXT_COLOURS:
        assert _contrast(colour, look.PAPER) >= 4.5
    for name in ("ink", "muted"):
        assert _contrast(css[name], css["pale"]) >= 4.5
    for colour in look.MARK_COLOURS:
        assert _contrast(colour, look.PAPER) >= 3
    assert _contrast("#ffffff", css["ink"]) >= 7
    # the two colours that share plots without any other difference than hatching differ in lightness
    assert _contrast(look.BLUE, look.ORANGE) >= 1.7


def test_variants_without_a_result_are_left_out_of_the_pictures() -> None:
    scan = example.scan(np.random.default_rng(2), "x", "X", "linear", "SD", 2_000)
    height = scan.log10_p.copy()
    height[::2] = np.nan
    half = dataclasses.replace(scan, log10_p=height, loci=())
    assert f"{np.isfinite(height).sum():,} variants" in genome_figures.manhattan_figure(half)
    nothing = dataclasses.replace(scan, log10_p=np.full(height.size, np.nan), loci=())
    assert "0 variants" in genome_figures.manhattan_figure(nothing)
    assert "0 variants" in genome_figures.qq_figure(nothing)


def test_regions_show_their_genes_and_are_told_in_words(cohort_html: str) -> None:
    scan = example.cohort().associations[0]
    assert len(scan.regions) == 2
    for at, region in enumerate(scan.regions):
        svg = genome_figures.regional_figure(region, name=f"region-{at}")
        for gene in region.genes:
            assert f">{gene.name}<" in svg
        assert f"Region of {region.lead} on chromosome {region.chrom}" in cohort_html
        assert len(svg) < 150_000


def test_bins_and_cells_under_ten_people_are_hidden() -> None:
    rng = np.random.default_rng(7)
    values = rng.normal(size=800)
    bins = histogram(values, label="x", bins=20)
    true, _ = np.histogram(values, bins=bins.edges)
    assert all((shown == "<10") == (0 < n < 10) for shown, n in zip(bins.counts, true, strict=True))
    assert "<10" in bins.counts
    groups = np.where(np.arange(800) < 6, "few", "many")
    grid = pca_map(values, rng.normal(size=800), groups)
    few = next(g for g in grid.groups if g.label == "few")
    assert few == c.PcaGroup(label="few", people="<10", cells=(), ellipse=None)
    assert all(n >= 10 for g in grid.groups for _, _, n in g.cells)


@pytest.mark.parametrize("name", ["binning", "cohort", "counts", "figures", "identifiers", "page", "patient"])
def test_examples_in_the_docstrings_hold(name: str) -> None:
    done = doctest.testmod(importlib.import_module(f"workflows.reports.{name}"))
    assert done.failed == 0
    assert done.attempted > 0 or name == "identifiers"


def test_crowded_map_names_every_group_and_no_two_names_meet() -> None:
    rng = np.random.default_rng(3)
    names = np.repeat([f"GRP{k}" for k in range(8)], 60)
    x, y = rng.normal(0, 0.3, names.size), rng.normal(0, 0.3, names.size)
    svg = people_figures.pca_figure(pca_map(x, y, names))
    places = [
        (float(a), float(b))
        for a, b in re.findall(r'<text[^>]*x="([\d.]+)" y="([\d.]+)"[^>]*>GRP\d</text>', svg)
    ]
    assert len(places) == 8
    assert all(
        abs(a[0] - b[0]) > 20 or abs(a[1] - b[1]) > 7 for k, a in enumerate(places) for b in places[k + 1 :]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outcomes", "pages"),
    [((), 4), (("abstention",), 1), (("abstention", "outcome"), 3), (("crowded",), 2)],
)
def test_printed_report_has_two_pages_for_each_outcome_with_a_risk(
    outcomes: tuple[str, ...], pages: int, tmp_path: Path
) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    page = tmp_path / "report.html"
    content = example.patient(*(getattr(example, name)() for name in outcomes))
    # one whose time is over says more
    html = build_patient_report(example.replace(content, expires="2013-01-01"))
    # DejaVu is about a tenth wider than the rest; the fullest page may then run over, none may run together
    fonts = ("Liberation Sans",) if outcomes == ("crowded",) else ("Liberation Sans", "DejaVu Sans")
    for at, font in enumerate(fonts):
        page.write_text(html.replace("--sans: ", f'--sans: "{font}", '), encoding="utf-8")
        printed = tmp_path / f"{at}.pdf"
        subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update",
             f"--user-data-dir={tmp_path / 'profile'}", "--no-pdf-header-footer",
             f"--print-to-pdf={printed}", str(page)],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        assert len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes())) == pages
