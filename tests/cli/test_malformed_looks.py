"""Bad looks of figures, bad arrays, baselines and constellations: one clear error each, which names its remedy."""

import pytest

pytestmark = pytest.mark.usefixtures("one_registry")

FIGURE = 'x = "bits"\ny = "crlb"'
ARRAY = '{ kind = "upa", horizontal = 4, vertical = 4 }'
METRICS = '["sum-rate-nats", "crlb"]'
SOLVER = '{ kind = "sca" }'
STAGE = 'transmit = [{ kind = "aqnm", bits = 3 }]'
PLACE = '"hardware.converters.transmit.0.bits"'
VALUES = "values = [1, 2, 3, 4, 6, inf]"
COUNT = "count     = 4"

# What is replaced in the quickstart scenario, by what, and what is said of it.
CASES = {
    "figure size unknown": (
        FIGURE,
        FIGURE + '\nsize = "colum"',
        "figure.crlb.size: must be screen, column, page or [width, height] in inches, got 'colum'. "
        "Write size = 'column', or [3.5, 2.6].",
    ),
    "figure size zero": (
        FIGURE,
        FIGURE + "\nsize = [0, 3]",
        "figure.crlb.size: must be screen, column, page or [width, height] in inches, got [0, 3]. Write "
        "size = 'column', or [3.5, 2.6].",
    ),
    "figure size three": (
        FIGURE,
        FIGURE + "\nsize = [3, 2, 1]",
        "figure.crlb.size: must be screen, column, page or [width, height] in inches, got [3, 2, 1]. "
        "Write size = 'column', or [3.5, 2.6].",
    ),
    "figure size text": (
        FIGURE,
        FIGURE + '\nsize = ["3", "2"]',
        "figure.crlb.size: must be screen, column, page or [width, height] in inches, got ['3', '2']. "
        "Write size = 'column', or [3.5, 2.6].",
    ),
    "figure size number": (
        FIGURE,
        FIGURE + "\nsize = 3",
        "figure.crlb.size: must be screen, column, page or [width, height] in inches, got 3. Write size "
        "= 'column', or [3.5, 2.6].",
    ),
    "figure legend": (
        FIGURE,
        FIGURE + '\nlegend = "topright"',
        "figure.crlb.legend: must be one of its choices, got 'topright'. Did you mean 'upper right'? Valid:",
    ),
    "figure legend list": (
        FIGURE,
        FIGURE + '\nlegend = ["best"]',
        "figure.crlb.legend: must be text, got ['best']. Write one text, in quotes.",
    ),
    "figure format": (
        FIGURE,
        FIGURE + '\nformat = "jpeg"',
        "figure.crlb.format: must be file types of figures, got 'jpeg'. Did you mean 'png'? Valid: pdf, "
        "pgf, png, svg, tikz.",
    ),
    "figure formats": (
        FIGURE,
        FIGURE + '\nformat = ["png", "tex"]',
        "figure.crlb.format: must be file types of figures, got ['png', 'tex']. Valid: pdf, pgf, png, svg, tikz.",
    ),
    "figure format number": (
        FIGURE,
        FIGURE + "\nformat = 3",
        "figure.crlb.format: must be file types of figures, got 3. Valid: pdf, pgf, png, svg, tikz.",
    ),
    "figure font number": (
        FIGURE,
        FIGURE + "\nfont = 3",
        "figure.crlb.font: must be text, got 3. Write one text, in quotes.",
    ),
    "figure font size": (
        FIGURE,
        FIGURE + "\nfont_size = -8",
        "figure.crlb.font_size: must be a finite number of at least 0, got -8. Check sign and unit.",
    ),
    "figure font size text": (
        FIGURE,
        FIGURE + '\nfont_size = "8pt"',
        "figure.crlb.font_size: must be a number, got '8pt'. Write 0.5, for example.",
    ),
    "figure style list": (
        FIGURE,
        FIGURE + '\nstyle = ["science"]',
        "figure.crlb.style: must be text, got ['science']. Write one text, in quotes.",
    ),
    "figure dots": (
        FIGURE,
        FIGURE + '\ndots = "yes"',
        "figure.crlb.dots: must be true or false, got 'yes'. Write true or false.",
    ),
    "figure dots band": (
        FIGURE,
        FIGURE + '\ndots = true\nband = ["crlb", "crlb"]',
        "figure.crlb.dots: must be left out beside a band, got True. Remove one of them.",
    ),
    "figure categories": (
        FIGURE,
        FIGURE + "\ncategories = 1",
        "figure.crlb.categories: must be true or false, got 1. Write true or false.",
    ),
    "figure scale word": (
        FIGURE,
        FIGURE + '\nscale = "logarithmic"',
        "figure.crlb.scale: must be one of 'auto', 'linear', 'log', 'db', got 'logarithmic'. Valid: "
        "auto, db, linear, log.",
    ),
    "figure scale case": (
        FIGURE,
        FIGURE + '\nscale = "dB"',
        "figure.crlb.scale: must be one of 'auto', 'linear', 'log', 'db', got 'dB'. Did you mean 'db'? "
        "Valid: auto, db, linear, log.",
    ),
    "figure key fontsize": (
        FIGURE,
        FIGURE + "\nfontsize = 8",
        "figure.crlb.fontsize: is not a known key, got 8. Did you mean 'font_size'? Valid:",
    ),
    "figure key width": (FIGURE, FIGURE + "\nwidth = 3.5", "figure.crlb.width: is not a known key, got 3.5. Valid:"),
    "figure x own axes": (
        FIGURE,
        'x = "rate-nats"\ny = "crlb"\nalong = "bits"',
        "figure.crlb.x: must name a quantity that is evaluated, got 'rate-nats'. Did you mean "
        "'sum-rate-nats'? Valid: bound, crlb, gap, iterations, objective, residual, solve_time, sum-rate-nats.",
    ),
    "array spacing zero": (
        ARRAY,
        '{ kind = "upa", horizontal = 4, vertical = 4, spacing = 0 }',
        "base_station.transmit_array.spacing: must be a finite number greater than 0, got 0. Give the "
        "distance of elements in wavelengths; 0.5 is usual.",
    ),
    "array spacing text": (
        ARRAY,
        '{ kind = "upa", horizontal = 4, vertical = 4, spacing = "half" }',
        "base_station.transmit_array.spacing: must be a number, got 'half'. Write 0.5, for example.",
    ),
    "array spacing nan": (
        ARRAY,
        '{ kind = "upa", horizontal = 4, vertical = 4, spacing = nan }',
        "base_station.transmit_array.spacing: must not be NaN, got nan. Give a number.",
    ),
    "array vertical spacing": (
        ARRAY,
        '{ kind = "upa", horizontal = 4, vertical = 4, vertical_spacing = -0.5 }',
        "base_station.transmit_array.vertical_spacing: must be a finite number greater than 0, got "
        "-0.5. Give the distance of elements in wavelengths; 0.5 is usual.",
    ),
    "array spacing key": (
        ARRAY,
        '{ kind = "upa", horizontal = 4, vertical = 4, spaceing = 0.5 }',
        "base_station.transmit_array.spaceing: is not a known key, got 0.5. Did you mean 'spacing'? "
        "Valid: conjugate, element, horizontal, normalized, spacing, vertical, vertical_spacing.",
    ),
    "array ula columns": (
        ARRAY,
        '{ kind = "ula", horizontal = 16 }',
        "base_station.transmit_array.horizontal: is not a known key, got 16. Valid: conjugate, "
        "element, elements, normalized, spacing.",
    ),
    "array placed empty": (
        ARRAY,
        '{ kind = "placed", across = [] }',
        "base_station.transmit_array.across, up: must be a list of finite places in wavelengths, got "
        "[]. Write across = [0, 0.5, 1.1].",
    ),
    "array placed twice": (
        ARRAY,
        '{ kind = "placed", across = [0, 0.5, 0.5] }',
        "base_station.transmit_array.across, up: must be another place for each element. Move one of them.",
    ),
    "array placed lengths": (
        ARRAY,
        '{ kind = "placed", across = [0, 0.5, 1], up = [0, 1] }',
        "base_station.transmit_array.across, up: must have one entry for each element, got '3 and 2 "
        "places'. Give both lists the same length, or one `up` for all.",
    ),
    "array placed text": (
        ARRAY,
        '{ kind = "placed", across = "wide" }',
        "base_station.transmit_array.across, up: must be real numbers, got 'wide'. Give a number or a "
        "rectangular array of numbers.",
    ),
    "array placed nested": (
        ARRAY,
        '{ kind = "placed", across = [[0, 1], [2, 3]] }',
        "base_station.transmit_array.across, up: must be a list of finite places in wavelengths, got "
        "[[0, 1], [2, 3]]. Write across = [0, 0.5, 1.1].",
    ),
    "array placed without places": (
        ARRAY,
        '{ kind = "placed" }',
        "base_station.transmit_array.across: is required. Add it.",
    ),
    "array placed infinite": (
        ARRAY,
        '{ kind = "placed", across = [0, inf] }',
        "base_station.transmit_array.across, up: must be a list of finite places in wavelengths, got "
        "[0, inf]. Write across = [0, 0.5, 1.1].",
    ),
    "constellation symbols": (
        METRICS,
        METRICS + '\nexperiments = [{ kind = "constellation", symbols = 0 }]',
        "evaluate.converters.experiments.0.symbols: must be a whole number of at least 1, got 0. Check the value.",
    ),
    "constellation modulation": (
        METRICS,
        METRICS + '\nexperiments = [{ kind = "constellation", modulation = "qam32" }]',
        "evaluate.converters.experiments.0.modulation.kind: must name one of the modulations, got "
        "'qam32'. Did you mean 'qam'? Valid: gaussian, qam, qam16, qam256, qam64, qpsk.",
    ),
    "constellation key": (
        METRICS,
        METRICS + '\nexperiments = [{ kind = "constellation", symbol = 100 }]',
        "evaluate.converters.experiments.0.symbol: is not a known key, got 100. Did you mean 'symbols'? "
        "Valid: modulation, symbols.",
    ),
    "baseline share": (
        SOLVER,
        '{ kind = "zf", sensing_share = -0.1 }',
        "design.sca.solver.sensing_share: must be a part of the power, from 0 to 1, got -0.1. Leave it "
        "out for the same power in every stream.",
    ),
    "baseline share above": (
        SOLVER,
        '{ kind = "zf", sensing_share = 1.5 }',
        "design.sca.solver.sensing_share: must be a part of the power, from 0 to 1, got 1.5. Leave it "
        "out for the same power in every stream.",
    ),
    "baseline share text": (
        SOLVER,
        '{ kind = "zf", sensing_share = "half" }',
        "design.sca.solver.sensing_share: must be a number, got 'half'. Write 0.5, for example.",
    ),
    "baseline option": (
        SOLVER,
        '{ kind = "mrt", tolerance = 1e-3 }',
        "design.sca.solver.tolerance: is not a known key, got 0.001. Valid: sensing_share.",
    ),
    "baseline name": (
        SOLVER,
        '"zero-forcing"',
        "design.sca.solver.kind: must name one of the solvers, got 'zero-forcing'. Valid:",
    ),
    "baseline case": (
        SOLVER,
        '"MRT"',
        "design.sca.solver.kind: must name one of the solvers, got 'MRT'. Did you mean 'mrt'?",
    ),
    "equal split option": (
        SOLVER,
        '{ kind = "equal-split", sensing_share = 0.5 }',
        "design.sca.solver.sensing_share: is not a known key, got 0.5. Valid: none.",
    ),
    "solver by a part of its name": (
        SOLVER,
        '"lbfgs"',
        "design.sca.solver.kind: must name one of the solvers, got 'lbfgs'. Did you mean 'riemannian-lbfgs'?",
    ),
    "solver option of another library": (
        SOLVER,
        '{ kind = "sca", max_iter = 10 }',
        "design.sca.solver.max_iter: is not a known key, got 10. Did you mean 'max_steps'?",
    ),
    "solver of another problem": (
        SOLVER,
        '"newton-mm"',
        "design.sca.solver: must take the problem sum-rate-crlb; newton-mm takes sqnr-max, not sum-rate-crlb",
    ),
    "array in capitals": (
        ARRAY,
        ARRAY.replace("upa", "UPA"),
        "base_station.transmit_array.kind: must name one of the arrays, got 'UPA'. Did you mean 'upa'?",
    ),
    "metric with underscores": (
        METRICS,
        '["sum_rate_nats"]',
        "evaluate.converters.metrics.0.kind: must name one of the metrics, got 'sum_rate_nats'. Did "
        "you mean 'sum-rate-nats'?",
    ),
    "stage that is no list": (
        STAGE,
        STAGE.replace("[", "").replace("]", ""),
        "sweep.bits at hardware.converters.transmit.0.bits: must name a field at '0'. It is one table, and no list: "
        "write hardware.converters.transmit.bits.",
    ),
    "side of hardware": (
        STAGE,
        STAGE.replace("transmit", "transmitter"),
        "hardware.converters.transmitter: is not a known key, got [{'kind': 'aqnm', 'bits': 3}]. Did you "
        "mean 'transmit'?",
    ),
    "sweep of a place within a table": (
        PLACE,
        PLACE.replace("hardware.", ""),
        "sweep.bits at converters.transmit.0.bits: must name a field at 'converters'. Did you mean "
        "'hardware.converters.transmit.0.bits'?",
    ),
    "sweep of an index in brackets": (
        PLACE,
        PLACE.replace(".0", "[0]"),
        "sweep.bits at hardware.converters.transmit[0].bits: must name a field at 'transmit[0]'. Write "
        "hardware.converters.transmit.0.bits, with a dot before an index.",
    ),
    "sweep of a range": (
        VALUES,
        'values = "1:6"',
        "sweep.bits.values: must be a list with at least one value, got '1:6'. Write values = [1, 2].",
    ),
    "sweep from start to stop": (VALUES, "start = 1\nstop = 6", "sweep.bits.values: is required. Add it."),
    "sweep of text and numbers": (
        VALUES,
        'values = [1, 2, "inf"]',
        "sweep.bits.values: must be all numbers or all text, got [1, 2, 'inf']. Sweep a number or a name.",
    ),
    "count as YAML writes it": (
        COUNT,
        "count: 4",
        "scenario: must be valid TOML (Expected '=' after a key in a key/value pair",
    ),
    "decimal comma": (
        COUNT,
        f"{COUNT}\nspeed = 0,5",
        "scenario: must be valid TOML (Expected newline or end",
    ),
    "count with a decimal point": (COUNT, "count = 4.0", "users.count: must be a whole number, got 4.0. Write 4."),
}


@pytest.mark.parametrize(("place", "text", "message"), CASES.values(), ids=CASES)
def test_a_mistake_is_told_with_its_remedy(call, studies, tmp_path, place, text, message):
    assert place in studies.text
    (tmp_path / "study.toml").write_text(studies.text.replace(place, text, 1), encoding="utf-8")
    code, out, err = call("check", "study.toml")
    assert (code, out) == (2, "")
    assert any(line.startswith(f"error: {message}") for line in err.splitlines()), err
