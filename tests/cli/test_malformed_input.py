"""Bad input: one clear error each, exit code 2, nothing written.

Every case changes the quickstart scenario in one place, or the command line, and names the
whole message: the field's path, the rule, the value and the remedy.
"""

import numpy as np
import pytest

from isacsim.cli.main import main
from isacsim.errors import brief

pytestmark = pytest.mark.usefixtures("one_registry")

POWER = "power_dbm       = 10"
NOISE = "noise_dbm = 0\n\n"
RADAR = "radar_noise_dbm = 0"
SNAPSHOTS = "snapshots       = 30"
CHANNEL = '{ kind = "rayleigh" }'
AZIMUTH = "[-42.38929297, -48.91936860]"
REFLECTION = '"0.0870197+0.000062536j"'
STAGE = 'transmit = [{ kind = "aqnm", bits = 3 }]'
BITS = 'transmit = [{ kind = "aqnm", bits = 3'
BITS_RULE = "must be whole numbers from 1 to 16, or inf"
BITS_REMEDY = "Give a whole number from 1 to 16 (inf is ideal), or one for each chain."
WEIGHTS = "rate_weight = 0.25, crlb_weight = 1.0"
SOLVER = '{ kind = "sca" }'
METRICS = '["sum-rate-nats", "crlb"]'
VALUES = "[1, 2, 3, 4, 6, inf]"
PLACES = """[
    "hardware.converters.transmit.0.bits",
    "hardware.converters.receive.0.bits",
    "hardware.converters.user.0.bits",
]"""
PLACE = '"hardware.converters.transmit.0.bits"'
FIGURE = 'x = "bits"\ny = "crlb"'
EXPECT = """
[expect]
crlb = {{ {}, kind = "published", source = "Doe", relative = 0.1 }}"""
NUMBERS = "Write 0.1 or [0.1, 0.2], without quotes."
POSITIVE = "must be a finite number greater than 0"
SIGN = "Check sign and unit."
TITLE = 'title  = "'
NAME = "must be a name of 1 to 200 bytes, printable, without / and \\, and no blanks around it"
TEXT = "must be printable text of at most 500 characters"
POWER_RADIATED = 'power    = "radiated"'

# Names that files, datasets or terminals cannot carry, as TOML writes them and as they are told.
NAMES = {
    "a null character": ("a\\u0000b", r"a\x00b"),
    "a slash": ("a/b", "a/b"),
    "a backslash": ("a\\\\b", "a\\b"),
    "an escape": ("\\u001b[31mred", r"\x1b[31mred"),
    "a turn of direction": ("a\\u202eb", r"a\u202eb"),
    "nothing": ("", "''"),
    "300 letters": ("x" * 300, "x" * 300),
    "100 letters of three bytes": ("\u2202" * 100, "\u2202" * 100),
    "two dots": ("..", ".."),
    "blanks": (" a", " a"),
}
TABLES = {
    "design": ("[design.sca]", '[design."{}"]'),
    "evaluate": ("[evaluate.converters]", '[evaluate."{}"]'),
    "hardware": ("[hardware.converters]", '[hardware."{}"]\n[hardware.converters]'),
    "sweep": ("[sweep.bits]", '[sweep."{}"]'),
    "figure": ("[figure.crlb]", '[figure."{}"]'),
}

# name: (text to replace, its replacement, what standard error says)
SCENARIOS = {
    "power text": (POWER, 'power_dbm = "ten"', f"base_station.power_dbm: must be numbers, got 'ten'. {NUMBERS}"),
    "power quoted": (POWER, 'power_dbm = "10"', f"base_station.power_dbm: must be numbers, got '10'. {NUMBERS}"),
    "power boolean": (POWER, "power_dbm = true", f"base_station.power_dbm: must be numbers, got True. {NUMBERS}"),
    "power table": (POWER, "power_dbm = {a=1}", f"base_station.power_dbm: must be numbers, got {{'a': 1}}. {NUMBERS}"),
    "power NaN": (POWER, "power_dbm = nan", f"base_station.power_dbm: {POSITIVE}, got nan. {SIGN}"),
    "power zero watts": (POWER, "power_dbm = -inf", f"base_station.power_dbm: {POSITIVE}, got -inf. {SIGN}"),
    "power infinite": (POWER, "power_dbm = inf", f"base_station.power_dbm: {POSITIVE}, got inf. {SIGN}"),
    "power beyond doubles": (POWER, "power_dbm = 5000", f"base_station.power_dbm: {POSITIVE}, got 5000. {SIGN}"),
    "power list": (POWER, "power_dbm = [10, 20]", f"base_station.power_dbm: {POSITIVE}, got [10, 20]. {SIGN}"),
    "power missing": (POWER, "", "base_station.power_dbm: is required. Add it."),
    "power without unit": (
        POWER,
        f"{POWER}\npower = 0.01",
        "base_station.power: is not a known key, got 0.01. Did you mean 'power_dbm', in dBm? "
        "Valid: grid, power_dbm, radar_noise_dbm, receive_array, snapshots, transmit_array.",
    ),
    "radar noise NaN": (RADAR, "radar_noise_dbm = nan", f"base_station.radar_noise_dbm: {POSITIVE}, got nan. {SIGN}"),
    "snapshots zero": (
        SNAPSHOTS,
        "snapshots = 0",
        "base_station.snapshots: must be a whole number of at least 1, got 0. Give the number of samples L.",
    ),
    "snapshots fraction": (
        SNAPSHOTS,
        "snapshots = 30.5",
        "base_station.snapshots: must be a whole number, got 30.5. Write 4, for example.",
    ),
    "snapshots boolean": (
        SNAPSHOTS,
        "snapshots = true",
        "base_station.snapshots: must be a whole number, got True. Write 4, for example.",
    ),
    "array kind": (
        'kind = "upa", horizontal = 4',
        'kind = "ura", horizontal = 4',
        "base_station.transmit_array.kind: must name one of the arrays, got 'ura'. "
        "Did you mean 'upa'? Valid: placed, ula, upa.",
    ),
    "array without kind": (
        'kind = "upa", horizontal = 4',
        "horizontal = 4",
        "base_station.transmit_array: must be a name or a table with a `kind` of arrays, "
        "got {'horizontal': 4, 'vertical': 4}. "
        "Valid: placed, ula, upa.",
    ),
    "array negative": (
        "horizontal = 5",
        "horizontal = -5",
        "base_station.receive_array.horizontal: must be a whole number of at least 1, got -5. "
        "Give the number of elements.",
    ),
    "array flag": (
        "horizontal = 4",
        'normalized = "yes", horizontal = 4',
        "base_station.transmit_array.normalized: must be true or false, got 'yes'. Write true or false.",
    ),
    "users negative": (
        "count     = 4",
        "count = -1",
        "users.count: must be a whole number of at least 0, got -1. Check the value.",
    ),
    "users fraction": ("count     = 4", "count = 4.0", "users.count: must be a whole number, got 4.0. Write 4."),
    "users text": (
        "count     = 4",
        'count = "4"',
        "users.count: must be a whole number, got '4'. Write 4, without quotes.",
    ),
    "noise too short": (
        NOISE,
        "noise_dbm = [0, 0]\n",
        "users.noise_dbm: must be one number, or one for each of 4 users, got [0, 0]. Match it.",
    ),
    "noise NaN": (
        NOISE,
        "noise_dbm = [0, 0, nan, 0]\n",
        "users.noise_dbm: must be finite, got [0, 0, nan, 0]. Remove NaN and infinite entries.",
    ),
    "noise ragged": (
        NOISE,
        "noise_dbm = [[0, 0], 0]\n",
        "users.noise_dbm: must be a number or a rectangular list, got [[0, 0], 0]. Write real numbers.",
    ),
    "noise zero watts": (NOISE, "noise_dbm = -inf\n", f"users.noise_dbm: must be greater than 0, got -inf. {SIGN}"),
    "channel unknown": (
        CHANNEL,
        '"rayliegh"',
        "users.channel.kind: must name one of the channels, got 'rayliegh'. Did you mean 'rayleigh'? "
        "Valid: cdl, exponential, fang25, kronecker, one-ring, path-loss, rayleigh, recorded, rician, tdl.",
    ),
    "channel number": (
        CHANNEL,
        "3",
        "users.channel: must be a name or a table with a `kind` of channels, got 3. "
        "Valid: cdl, exponential, fang25, kronecker, one-ring, path-loss, rayleigh, recorded, rician, tdl.",
    ),
    "channel gains too few": (
        CHANNEL,
        '{ kind = "rayleigh", gain_db = [0, 0] }',
        "users.channel.gain_db: must be one number, or one for each of the 4 users, got array([1., 1.]). "
        "Match users.count.",
    ),
    "channel without factor": (CHANNEL, '"rician"', "users.channel.k_factor_db: is required. Add it."),
    "recording missing": (
        CHANNEL,
        '{ kind = "recorded", path = "nope.npz" }',
        "users.channel.path: must be a file that exists, got 'nope.npz'. Check the path of the recording.",
    ),
    "recording of another kind": (
        CHANNEL,
        '{ kind = "recorded", path = "study.toml" }',
        "users.channel.path: must be an .npy, .npz, .mat or HDF5 file, got '{file}'. "
        "It could not be read: Unable to synchronously open file (file signature not found)",
    ),
    "recording with another name": (
        CHANNEL,
        '{ kind = "recorded", path = "three.npz" }',
        "users.channel.variable: must be an array in three.npz, got 'H'. Valid: G.",
    ),
    "recording too short": (
        CHANNEL,
        '{ kind = "recorded", path = "three.npz", variable = "G" }',
        "trials: must be at most 3, the number of records in three.npz, got 100. "
        "Ask for fewer trials, or set `wrap = true`.",
    ),
    "targets unknown": (
        '"points"',
        '"pointz"',
        "targets.kind: must name one of the targets, got 'pointz'. "
        "Did you mean 'point'? Valid: extended, point, points, radar.",
    ),
    "targets missing": ("[targets]", "[users.targets]", "targets: is required. Add it."),
    "target angle NaN": (
        AZIMUTH,
        "[-42.3, nan]",
        "targets.azimuth_deg: must be finite, got [-42.3, nan]. Remove NaN and infinite entries.",
    ),
    "reflection text": (
        REFLECTION,
        '"big"',
        "targets.reflection: must be numbers, got ['big', '-0.03992069+0.117000274j']. "
        'Write 0.1, "0.1+0.2j" or a list of them.',
    ),
    "stage unknown": (
        BITS,
        'transmit = [{ kind = "aqmn", bits = 3',
        "hardware.converters.transmit.0.kind: must name one of the hardware, got 'aqmn'. Did you mean 'aqnm'? Valid: ",
    ),
    "stage of the wrong type": (
        STAGE,
        "transmit = 3",
        "hardware.converters.transmit: must be a name or a table with a `kind` of hardware, got 3. Valid: ",
    ),
    "side unknown": (
        STAGE,
        f"{STAGE}\ntransmitt = []",
        "hardware.converters.transmitt: is not a known key, got []. "
        "Did you mean 'transmit'? Valid: receive, transmit, user.",
    ),
    "hardware without table": (
        "[hardware.converters]",
        '[hardware]\nspare = "x"\n[hardware.converters]',
        "hardware.spare: must be a table, got 'x'. Its keys: transmit, receive, user.",
    ),
    "ideal hardware that is not": (
        "[hardware.converters]",
        '[hardware.ideal]\nuser = [{ kind = "aqnm", bits = 1 }]\n[hardware.converters]',
        "hardware.ideal: must be ideal, got Transceiver(",
    ),
    "bits zero": (
        BITS,
        BITS.replace("3", "0"),
        f"hardware.converters.transmit.0.bits: {BITS_RULE}, got 0. {BITS_REMEDY}",
    ),
    "bits fraction": (
        BITS,
        BITS.replace("3", "2.5"),
        f"hardware.converters.transmit.0.bits: {BITS_RULE}, got 2.5. {BITS_REMEDY}",
    ),
    "bits NaN": (
        BITS,
        BITS.replace("3", "nan"),
        f"hardware.converters.transmit.0.bits: {BITS_RULE}, got nan. {BITS_REMEDY}",
    ),
    "bits text": (
        BITS,
        BITS.replace("3", '"3"'),
        f"hardware.converters.transmit.0.bits: must be numbers, got '3'. {BITS_REMEDY}",
    ),
    "bits missing": (BITS, 'transmit = [{ kind = "aqnm"', "hardware.converters.transmit.0.bits: is required. Add it."),
    "bits of too few chains": (
        "[hardware.converters]",
        '[hardware.spare]\nreceive = ["ideal", { kind = "aqnm", bits = [1, 2] }]\n'
        '[evaluate.spare]\nhardware = "spare"\nmetrics = ["crlb"]\n[hardware.converters]',
        "hardware.spare.receive.1.bits: must be one number, or one for each of the 20 chains, got array([1., 2.]). "
        "Match the number of chains.",
    ),
    "codebook unknown": (
        BITS,
        f'{BITS}, table = "max"',
        "hardware.converters.transmit.0.table: must be one of 'lloyd-max', 'uniform', got 'max'. "
        "Did you mean 'lloyd-max'? Valid: lloyd-max, uniform.",
    ),
    "design with unknown hardware": (
        'hardware = "ideal"',
        'hardware = "idael"',
        "design.sca.hardware: must name a hardware table, got 'idael'. Did you mean 'ideal'? Valid: converters, ideal.",
    ),
    "design for hardware that its solver cannot use": (
        'hardware = "ideal"',
        'hardware = "converters"',
        "design.sca.solver: must take the problem sum-rate-crlb; sca designs for ideal hardware only, and transmit.0 "
        "(Aqnm) is not, got 'sca'. Believe in ideal hardware and judge through the real one. "
        "Valid: riemannian-cg, riemannian-lbfgs.",
    ),
    "problem unknown": (
        '"sum-rate-crlb"',
        '"sumrate"',
        "design.sca.problem.kind: must name one of the problems, got 'sumrate'. Did you mean 'sum-rate-crlb'? Valid: ",
    ),
    "weight misspelt": (
        WEIGHTS,
        f"{WEIGHTS}, rate_wieght = 1",
        "design.sca.problem.rate_wieght: is not a known key, got 1. Did you mean 'rate_weight'? Valid: ",
    ),
    "weight negative": (
        WEIGHTS,
        "rate_weight = -0.25, crlb_weight = 1",
        "design.sca.problem.rate_weight: must be a finite number of at least 0, got -0.25. Use 0 to drop the term.",
    ),
    "weight boolean": (
        WEIGHTS,
        "rate_weight = 1, crlb_weight = true",
        "design.sca.problem.crlb_weight: must be a number, got True. Write 0.5, for example.",
    ),
    "weights both zero": (
        WEIGHTS,
        "rate_weight = 0, crlb_weight = 0",
        "design.sca.problem.rate_weight, crlb_weight: must not both be 0, got '0 and 0'. Weigh at least one term.",
    ),
    "sensing streams negative": (
        WEIGHTS,
        f"{WEIGHTS}, sensing_streams = -1",
        "design.sca.problem.sensing_streams: must be a whole number of at least 0, got -1. "
        "Leave it out for max(0, M - K).",
    ),
    "parameters unknown": (
        WEIGHTS,
        f'{WEIGHTS}, parameters = ["azimut"]',
        "design.sca.problem.parameters: must be kinds of target parameters, got 'azimut'. Did you mean 'azimuth'? "
        "Valid: azimuth, reflection, zenith.",
    ),
    "parameter weights alone": (
        WEIGHTS,
        f"{WEIGHTS}, parameter_weights = [1, 2]",
        "design.sca.problem.parameter_weights: must have one entry for each of `parameters`, got (1.0, 2.0). "
        "Name the kinds of parameters, and weigh each.",
    ),
    "problem that does not fit the targets": (
        '"points"\nazimuth_deg = [-42.38929297, -48.91936860]\nzenith_deg  = [-37.64877482, -18.53271293]\n'
        'reflection  = ["0.0870197+0.000062536j", "-0.03992069+0.117000274j"]',
        '"extended"',
        "targets.kind: must have unknown parameters, as point targets do, for sum-rate-crlb, got ",
    ),
    "solver unknown": (
        SOLVER,
        '{ kind = "sac" }',
        "design.sca.solver.kind: must name one of the solvers, got 'sac'. Did you mean 'sca'? Valid: ",
    ),
    "tolerance zero": (
        SOLVER,
        '{ kind = "sca", tolerance = 0 }',
        f"design.sca.solver.tolerance: {POSITIVE}, got 0. {SIGN}",
    ),
    "steps zero": (
        SOLVER,
        '{ kind = "sca", max_steps = 0 }',
        "design.sca.solver.max_steps: must be a whole number of at least 1, got 0. Check the value.",
    ),
    "evaluation with unknown hardware": (
        'hardware = "converters"',
        'hardware = "convertors"',
        "evaluate.converters.hardware: must name a hardware table, got 'convertors'. Did you mean 'converters'? "
        "Valid: converters, ideal.",
    ),
    "evaluation with unknown power": (
        '"radiated"',
        '"radiatd"',
        "evaluate.converters.power: must be one of 'designed', 'radiated', 'per-antenna', got 'radiatd'. "
        "Did you mean 'radiated'? Valid: designed, per-antenna, radiated.",
    ),
    "metric unknown": (
        METRICS,
        '["sum-rate-nats", "clrb"]',
        "evaluate.converters.metrics.1.kind: must name one of the metrics, got 'clrb'. Did you mean 'crlb'? Valid: ",
    ),
    "metric twice": (
        METRICS,
        '["crlb", "crlb"]',
        "evaluate.converters.metrics: must record a quantity once, got ['crlb', 'crlb']. "
        "Use a second [evaluate] table.",
    ),
    "metrics none": (
        METRICS,
        "[]",
        "evaluate.converters.metrics: must name a metric, or experiments an experiment, got []. Add one.",
    ),
    "metrics without list": (
        METRICS,
        '"crlb"',
        "evaluate.converters.metrics: must be a list, got 'crlb'. Write [ ... ].",
    ),
    "design judged is unknown": (
        POWER_RADIATED,
        'designs = ["scaa"]',
        "evaluate.converters.designs: must name designs, got 'scaa'. Did you mean 'sca'? Valid: sca.",
    ),
    "designs judged are none": (
        POWER_RADIATED,
        "designs = []",
        "evaluate.converters.designs: must name each design once, got []. Leave it out for all designs.",
    ),
    "detector unknown": (
        POWER_RADIATED,
        'experiments = [{ kind = "detection", detector = "enrgy" }]',
        "evaluate.converters.experiments.0.detector.kind: must name one of the detectors, got 'enrgy'. "
        "Did you mean 'energy'? Valid: energy, likelihood-ratio.",
    ),
    "false alarms above one": (
        POWER_RADIATED,
        'experiments = [{ kind = "detection", false_alarm = 2 }]',
        "evaluate.converters.experiments.0.false_alarm: must be between 0 and 1, got 2. Give a probability.",
    ),
    "consumption negative": (
        METRICS,
        '["sum-rate-nats", "crlb", '
        '{ kind = "energy-efficiency", power_model = { kind = "converters", rf_chain_w = -1 } }]',
        f"evaluate.converters.metrics.2.power_model.rf_chain_w: {POSITIVE}, got -1. {SIGN}",
    ),
    "axis empty": (
        VALUES,
        "[]",
        "sweep.bits.values: must be a list with at least one value, got []. Write values = [1, 2].",
    ),
    "axis scalar": (
        VALUES,
        "3",
        "sweep.bits.values: must be a list with at least one value, got 3. Write values = [1, 2].",
    ),
    "axis with a value twice": (
        VALUES,
        "[1, 2, 1.0]",
        "sweep.bits.values: must differ from each other, got [1, 2, 1.0]. Name each value once.",
    ),
    "axis of numbers and text": (
        VALUES,
        '[1, "two"]',
        "sweep.bits.values: must be all numbers or all text, got [1, 'two']. Sweep a number or a name.",
    ),
    "axis with NaN": (
        VALUES,
        "[1, nan]",
        "sweep.bits.values: must be all numbers or all text, got [1, nan]. Sweep a number or a name.",
    ),
    "axis with a bad value": (
        VALUES,
        "[1, 0]",
        f"sweep.bits at hardware.converters.transmit.0.bits: {BITS_RULE}, got 0. {BITS_REMEDY}",
    ),
    "axis that leads nowhere": (
        PLACE,
        '"hardware.converters.transmit.0.bit"',
        "sweep.bits at hardware.converters.transmit.0.bit: must name a field at 'bit'. Did you mean 'bits'? "
        "Valid: bits, table.",
    ),
    "axis without places": (
        PLACES,
        "[]",
        "sweep.bits.sets: must name at least one place, got []. Write sets = ['base_station.power_dbm'].",
    ),
    "axis with a key that is not known": (
        '"hardware.converters.user.0.bits",\n]',
        "]\nlabels = 3",
        "sweep.bits.labels: is not a known key, got 3. Did you mean 'label'? Valid: label, sets, values.",
    ),
    "axis under a name in use": (
        "[sweep.bits]",
        '[sweep.trial]\nvalues = [1, 2]\nsets = "users.count"\n[sweep.bits]',
        "sweep.trial: must not have a name that results use, got 'trial'. Rename the axis.",
    ),
    "figure of an unknown axis": (
        FIGURE,
        'x = "bit"\ny = "crlb"',
        "figure.crlb.x: must name an axis of the sweep, got 'bit'. Did you mean 'bits'? Valid: bits.",
    ),
    "figure of an unknown quantity": (
        FIGURE,
        'x = "bits"\ny = "clrb"',
        "figure.crlb.y: must name a quantity that is evaluated, got 'clrb'. Did you mean 'crlb'? "
        "Valid: bound, crlb, gap, iterations, objective, residual, solve_time, sum-rate-nats.",
    ),
    "figure with a series along x": (
        FIGURE,
        f'{FIGURE}\nseries = "bits"',
        "figure.crlb.series: must name what differs, got 'bits'. Valid: design, evaluate.",
    ),
    "figure of a trace that is not kept": (
        FIGURE,
        'x = "step"\ny = "trace-objective"',
        "figure.crlb.y: must name a quantity that is evaluated, got 'trace-objective'. "
        "Write trace = true in a design to keep its trace.",
    ),
    "figure with half a band": (
        'y = "crlb"',
        'y = "crlb"\nband = ["crlb"]',
        "figure.crlb.band: must name two quantities with the axes of crlb, got ('crlb',). "
        "Write band = [LOWER, UPPER], and leave `along` out.",
    ),
    "figure along what is no axis": (
        FIGURE,
        f'{FIGURE}\nalong = "rate"',
        "figure.crlb.along: must name an axis of the sweep, got 'rate'. Valid: bits.",
    ),
    "figure of what has other axes beside": (
        FIGURE,
        f'{FIGURE}\nbeside = ["trace-objective"]',
        "figure.crlb.beside: must name a quantity that is evaluated, got 'trace-objective'. "
        "Write trace = true in a design to keep its trace.",
    ),
    "figure of a quantity against nothing": (
        FIGURE,
        'x = "rates"\ny = "crlb"\nalong = "bits"',
        "figure.crlb.x: must name a quantity that is evaluated, got 'rates'. ",
    ),
    "axis whose places have values of their own, too few": (
        f"sets   = {PLACES}",
        'sets = { "base_station.power_dbm" = [1, 2] }',
        "sweep.bits.sets.base_station.power_dbm: must have 6 entries, one for each value, got (1, 2). Match `values`.",
    ),
    "axis with a place that is not quoted": (
        f"sets   = {PLACES}",
        "sets = { base_station.power_dbm = [1, 2, 3, 4, 5, 6] }",
        "sweep.bits.sets.base_station: must be a list, got {'power_dbm': [1, 2, 3, 4, 5, 6]}. "
        "Quote the whole path; give one entry a value.",
    ),
    "expectation of an unknown quantity": (
        FIGURE,
        FIGURE + EXPECT.format('quantity = "clrb", values = 1'),
        "expect.crlb.quantity: must name a quantity that is evaluated, got 'clrb'. Did you mean 'crlb'?",
    ),
    "expectation of too few values": (
        FIGURE,
        FIGURE + EXPECT.format('quantity = "crlb", over = "bits", values = [1, 2]'),
        "expect.crlb.values: must have 6 entries, got (1.0, 2.0). Write nan for what is not known.",
    ),
    "expectation over what is no axis": (
        FIGURE,
        FIGURE + EXPECT.format('quantity = "crlb", over = "bit", values = 1'),
        "expect.crlb.over: must name an axis of the sweep, got 'bit'. Did you mean 'bits'? Valid: bits.",
    ),
    "expectation nowhere in the sweep": (
        FIGURE,
        FIGURE + EXPECT.format('quantity = "crlb", values = 1'),
        "expect.crlb.at: must fix the axis 'bits', got {}. Write at = { bits = ... }.",
    ),
    "expectation of an unknown design": (
        FIGURE,
        FIGURE + EXPECT.format('quantity = "crlb", over = "bits", values = [1, 2, 3, 4, 5, 6], design = "scb"'),
        "expect.crlb.design: must name one of its tables, got 'scb'. Did you mean 'sca'? Valid: sca.",
    ),
    "expectation without a tolerance": (
        FIGURE,
        FIGURE + EXPECT.format('quantity = "crlb", at = { bits = 1 }, values = 1').replace(", relative = 0.1", ""),
        "expect.crlb.absolute, relative, standard_errors: must not all be 0.",
    ),
    "figure at a value that is not swept": (
        FIGURE,
        f"{FIGURE}\nat = {{ bits = 9 }}",
        "figure.crlb.at: must fix axes at swept values, got {'bits': 9}. Did you mean 'bits'? Valid: bits.",
    ),
    "figure at what is no table": (
        FIGURE,
        f"{FIGURE}\nat = 3",
        "figure.crlb.at: must be a table, got 3. Write [section.name] or { key = value }.",
    ),
    "figure without a free axis fixed": (
        "[sweep.bits]",
        '[sweep.users]\nvalues = [1, 2]\nsets = "users.count"\n[sweep.bits]',
        "figure.rate.at: must fix the axis 'users', got {}. Write at = { users = ... }.",
    ),
    "figure in another folder": (
        "[figure.crlb]",
        '[figure."../crlb"]',
        f"figure.../crlb: {NAME}, got '../crlb'. Rename it.",
    ),
    "statistic unknown": (
        FIGURE,
        f'{FIGURE}\nstatistic = "mode"',
        "figure.crlb.statistic: must be one of 'mean', 'median', got 'mode'. Did you mean 'mean'? Valid: mean, median.",
    ),
    "users with a key that is not known": (
        "[users]",
        "[users]\nspare = 1",
        "users.spare: is not a known key, got 1. Valid: channel, count, noise_dbm.",
    ),
    "trials zero": (
        "trials = 100",
        "trials = 0",
        "trials: must be a whole number of at least 1, got 0. Check the value.",
    ),
    "trials text": (
        "trials = 100",
        'trials = "100"',
        "trials: must be a whole number, got '100'. Write 100, without quotes.",
    ),
    "trials float": ("trials = 100", "trials = 1e2", "trials: must be a whole number, got 100.0. Write 100."),
    "seed negative": (
        "seed   = 2025",
        "seed = -1",
        "seed: must be a whole number of at least 0, got -1. Check the value.",
    ),
    "title number": ("title  = ", "title = 3 #", "title: must be text, got 3. Write one text, in quotes."),
    "key unknown": (
        "seed   = 2025",
        "seeds = 2025",
        "seeds: is not a known key, got 2025. Did you mean 'seed'? Valid: background, base_station, design, evaluate, "
        "executor, expect, figure, hardware, observers, precision, seed, sinks, sweep, targets, title, trials, users.",
    ),
    "sink unknown": (
        "seed   = 2025",
        'seed = 1\nsinks = ["netcfd"]',
        "sinks.0.kind: must name one of the sinks, got 'netcfd'. Did you mean 'netcdf'? Valid: csv, netcdf.",
    ),
    "design missing": ("[design.sca]", "[evaluate.other]", "design: is required. Add it."),
    "not TOML": (
        "seed   = 2025",
        "seed = = 2025",
        "scenario: must be valid TOML (Invalid value (at line 8, column 8)), got '{file}'. "
        "Mend the line 'seed = = 2025'; text is quoted, complex numbers too.",
    ),
    "key twice": (
        "seed   = 2025",
        "seed = 1\nseed = 2",
        "scenario: must be valid TOML (Cannot overwrite a value (at line 9, column 9)), got '{file}'. "
        "Mend the line 'seed = 2'; text is quoted, complex numbers too.",
    ),
}

LEADS_NOWHERE = (
    "Valid: background, base_station, design, evaluate, executor, expect, figure, hardware, observers, precision, "
    "seed, sinks, sweep, targets, title, trials, users."
)
SETTINGS = {
    "base_station.power_dbm": (
        "--set: must read KEY=VALUE, got 'base_station.power_dbm'. Write --set base_station.power_dbm=20."
    ),
    "=3": "--set: must read KEY=VALUE, got '=3'. Write --set base_station.power_dbm=20.",
    "foo.bar=3": f"foo.bar: must name a field at 'foo'. {LEADS_NOWHERE}",
    "users..count=3": "users..count: must name a field at ''. Valid: channel, count, noise_dbm.",
    "base_station.power=3": (
        "base_station.power: must name a field at 'power'. Did you mean 'power_dbm', in dBm? Valid: grid, power_dbm,"
    ),
    "base_station.power_dbm=nan": f"base_station.power_dbm: {POSITIVE}, got nan. {SIGN}",
    "base_station.power_dbm=ten": f"base_station.power_dbm: must be numbers, got 'ten'. {NUMBERS}",
    "users.noise_dbm=[0, 0]": "users.noise_dbm: must be one number, or one for each of 4 users, got [0, 0]. Match it.",
    "users.count=-1": "users.count: must be a whole number of at least 0, got -1. Check the value.",
    "design.sca.hardware=steel": (
        "design.sca.hardware: must name a hardware table, got 'steel'. Valid: converters, ideal."
    ),
    "design.sca.solver.kind=sca": (
        "design.sca.solver.kind: cannot be set alone, got 'sca'. Set the whole table, { kind = ... }."
    ),
    "design.sca.solver.max_steps=0": (
        "design.sca.solver.max_steps: must be a whole number of at least 1, got 0. Check the value."
    ),
    "hardware.converters.user.0.bits=0": f"hardware.converters.user.0.bits: {BITS_RULE}, got 0. {BITS_REMEDY}",
    'hardware.converters.user=[{kind="aqnm"}]': "hardware.converters.user.0.bits: is required. Add it.",
    "targets.azimuth_deg.0=1": "targets.azimuth_deg.0: must name a field at '0'. Set the whole value.",
    "sweep.bits.sets=3": "sweep.bits.sets: must be paths of places, got 3. Write sets = ['base_station.power_dbm'].",
    "figure.rate.y=foo": (
        "figure.rate.y: must name a quantity that is evaluated, got 'foo'. "
        "Valid: bound, crlb, gap, iterations, objective, residual, solve_time, sum-rate-nats."
    ),
    "evaluate={}": "evaluate: must have at least one entry. Add a table [evaluate.NAME].",
    'targets={kind="point", azimuth_deg=1, reflection=["1j"]}': (
        "targets.reflection: must be one number, got ['1j']. Write \"0.1+0.2j\"."
    ),
    "trials=0": "trials: must be a whole number of at least 1, got 0. Check the value.",
}

ARGUMENTS = {
    "--workers 0": "workers: must be a whole number of at least 1, got 0. Leave it out for the default.",
    "--workers -1": "workers: must be a whole number of at least 1, got -1. Leave it out for the default.",
    "--workers two": "Invalid value for '--workers': ",
    "--trials 0": "trials: must be a whole number of at least 1, got 0. Check the value.",
    "--trials -1": "trials: must be a whole number of at least 1, got -1. Check the value.",
    "--trials 2.5": "Invalid value for '--trials': ",
    "--executor cloud": "executor: must name one of the executors, got 'cloud'. Valid: ",
    "--frobnicate": "--frobnicate: must be an option of `isacsim run`. ",
    "--trails 3": "--trails: must be an option of `isacsim run`. Did you mean '--trials'? Valid: --executor, ",
    "--seed 3": "--seed: must be an option of `isacsim run`. Write --set seed=VALUE.",
    "--measure": "--measure: must be an option of `isacsim run`. It is one of `isacsim check`.",
    "more": "Got unexpected extra argument",  # in words of typer
    "--resume": "run: {out} holds no run (no ledger.sqlite). Give the folder that `isacsim run` wrote.",
}


@pytest.fixture
def refused(tmp_path, capsys, monkeypatch):
    """Runs the command line on a text, and returns the lines of standard error."""
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "three.npz", G=np.ones((3, 16, 4)))

    def run(text, *arguments):
        file = tmp_path / "study.toml"
        file.write_text(text, encoding="utf-8")
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        assert main(["run", str(file), "--out", "out", *(arguments or ("--workers", "1", "--executor", "serial"))]) == 2
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
        told = capsys.readouterr()
        assert told.out == ""
        assert "Traceback" not in told.err
        lines = told.err.splitlines()
        assert all(line.startswith("error: ") for line in lines)
        return [line.removeprefix("error: ") for line in lines]

    return run


def assert_told(lines, message, tmp_path):
    file = str(tmp_path / "study.toml")  # a long one is told by its ends
    expected = message.replace("got '{file}'", f"got {brief(file)}").replace("{file}", file).replace("{out}", "out")
    assert any(line.startswith(expected) for line in lines), lines


@pytest.mark.parametrize("case", SCENARIOS)
def test_a_malformed_scenario_is_one_clear_error(studies, refused, tmp_path, case):
    old, new, message = SCENARIOS[case]
    assert old in studies.text
    lines = refused(studies.text.replace(old, new, 1))
    assert_told(lines, message, tmp_path)
    assert len(lines) == 1 or case in ("targets missing", "design missing")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("table", TABLES)
def test_a_name_that_nothing_can_carry_is_refused_and_told_in_plain_letters(studies, call, tmp_path, table, name):
    (old, new), (written, seen) = TABLES[table], NAMES[name]
    assert old in studies.text
    text = studies.text[: studies.text.index("[figure.")] if table == "sweep" else studies.text
    (tmp_path / "study.toml").write_text(text.replace(old, new.format(written), 1), encoding="utf-8")
    code, out, err = call("check", "study.toml")
    assert (code, out) == (2, "")
    assert f"error: {table}.{seen}: {NAME}, got " in err
    assert all(line.isprintable() for line in err.splitlines())


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        (TITLE, 'title = "\\u001b]0;mine\\u0007', "title"),
        (VALUES, '["3", "a\\u0007"]', "sweep.bits.values"),
        ('label  = "', 'label = "\\u0000', "sweep.bits.label"),
        (FIGURE, FIGURE + '\ntitle = "\\u001b[2J"', "figure.crlb.title"),
        (FIGURE, FIGURE + f'\ntitle = "{"x" * 501}"', "figure.crlb.title"),
    ],
)
def test_text_that_a_terminal_would_obey_is_refused(studies, call, tmp_path, old, new, place):
    assert old in studies.text
    (tmp_path / "study.toml").write_text(studies.text.replace(old, new, 1), encoding="utf-8")
    code, out, err = call("check", "study.toml")
    assert (code, out) == (2, "")
    assert f"error: {place}: {TEXT}, got " in err
    assert all(line.isprintable() for line in err.splitlines())


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('label  = "', 'label = "$\\\\frac{1}$ ', "sweep.bits.label: must have formulas that can be drawn ("),
        (FIGURE, FIGURE + '\ntitle = "$x_$"', "figure.crlb.title: must have formulas that can be drawn ("),
        (TITLE, 'title = "$\\\\nope$ ', "title: must have formulas that can be drawn ("),
    ],
)
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_formula_that_cannot_be_drawn_is_refused_before_the_work(studies, call, tmp_path, command, old, new, told):
    assert old in studies.text
    (tmp_path / "study.toml").write_text(studies.text.replace(old, new, 1), encoding="utf-8")
    more = ["--out", "out", "--workers", "1"] if command == "run" else []
    code, out, err = call(command, "study.toml", *more)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {told}")
    assert not (tmp_path / "out").exists()


def test_dollars_and_formulas_that_can_be_drawn_are_taken(studies, call, tmp_path):
    text = studies.text.replace(FIGURE, FIGURE + '\ntitle = "$\\\\bar{x}_1^2$ for 5 \\\\$"')
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    assert call("check", "study.toml")[0] == 0


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_malformed_setting_is_one_clear_error(studies, refused, tmp_path, setting):
    (line,) = refused(studies.text, "--workers", "1", "--executor", "serial", "--set", setting)
    assert_told([line], SETTINGS[setting], tmp_path)


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_a_malformed_argument_is_one_clear_error(studies, refused, tmp_path, arguments):
    (line,) = refused(studies.text, *arguments.split())
    assert_told([line], ARGUMENTS[arguments], tmp_path)


def test_the_table_is_long_enough():
    assert len(SCENARIOS) + len(SETTINGS) + len(ARGUMENTS) >= 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "Missing argument '"),
        (
            ["run", "nowhere.toml"],
            "scenario: must be a readable file (No such file or directory), got 'nowhere.toml'. ",
        ),
        (["check", "."], "scenario: must be a readable file (Is a directory), got '.'. Check the path; "),
        (["run", "quickstart", "--resume"], "--resume: needs --out. Name the run folder to continue."),
        (["run", "quickstart", "--force"], "--force: needs --resume. Leave it out for a new run."),
        (["run", "quickstart", "--out", "file"], "out: file cannot be written ("),
        (["run", "quickstart", "--out", "file/below"], "out: file/below cannot be written ("),
        (
            ["run", "quickstart", "--out", "full"],
            "out: full is not empty. Continue it with --resume, or choose another",
        ),
        (["plot", "full"], "run: full holds no run (no ledger.sqlite). Give the folder that `isacsim run` wrote."),
        (
            ["plot", "full", "--format", "gif"],
            "--format: must be file types of figures, got 'gif'. Did you mean 'pgf'? Va",
        ),
        (["plot", "full", "--size", "colum"], "--size: must be screen, column, page or [width, height] in inches, got"),
        (
            ["plot", "full", "--size", "3x"],
            "--size: must be screen, column, page or [width, height] in inches, got '3x'",
        ),
        (
            ["plot", "full", "--size", "0x3"],
            "--size: must be screen, column, page or [width, height] in inches, got (0",
        ),
        (
            ["plot", "full", "--legend", "topright"],
            "--legend: must be one of its choices, got 'topright'. Did you mean",
        ),
        (["plot", "full", "--scale", "lgo"], "--scale: must be one of its choices, got 'lgo'. Did you mean 'log'? Va"),
        (["plot", "full", "--x-scale", "dB"], "--x-scale: must be one of its choices, got 'dB'. Did you mean 'db'? V"),
        (["plot", "full", "--font-size", "-2"], "--font-size: must be a finite number of at least 0, got -2.0. Check"),
        (["list", "solvrs"], "kind: must be a kind of component, got 'solvrs'. Did you mean 'solvers'? Valid: "),
        (["show", "solvrs", "sca"], "kind: must be a kind of component, got 'solvrs'. Did you mean 'solvers'? Valid: "),
        (["show", "solver"], "name: must name one of the solvers. Valid: augmented-lagrangian, bal, "),
        (
            ["show", "figre"],
            "kind: must be a kind of component, or a table of scenarios, got 'figre'. Did you mean 'fi",
        ),
        (["show", "metric", "crbl"], "name: must name one of the metrics, got 'crbl'. Did you mean 'crlb'? Valid: "),
        (
            ["run", "quickstrat"],
            "scenario: must be a file, or the name of a scenario, got 'quickstrat'. Did you mean 'q",
        ),
        (["check", "quick"], "scenario: must be a file, or the name of a scenario, got 'quick'. Did you mean 'quickst"),
        (["schema", "--out", "nowhere/at/all.json"], "--out: must be writable (No such file or directory), got 'nowhe"),
        (["report", "full"], "run: full holds no run (no ledger.sqlite). Give the folder that `isacsim run` wrote."),
        (["compare", "full", "full"], "run: full holds no run (no ledger.sqlite). Give the folder that `isacsim run`"),
        (["export", "full", "--to", "csv"], "run: full holds no run (no ledger.sqlite). Give the folder that `isacs"),
        (["new-plugin", "solvr", "x"], "kind: must be a kind of component, got 'solvr'. Did you mean 'solvers'? Valid"),
        (["new-plugin", "solver", "My"], "name: must be lower-case letters, digits and single hyphens, got 'My'. Writ"),
        (["show", "solvers", "scaa"], "name: must name one of the solvers, got 'scaa'. Did you mean 'sca'? Valid: "),
        (["init", "--out", "file"], "--out: must not exist, got 'file'. Choose another file."),
        (["init", "--out", "nowhere/at/all.toml"], "--out: must be writable (No such file or directory), got "),
        (
            ["init", "slowstart"],
            "scenario: must be a file, or the name of a scenario, got 'slowstart'. Did you mean 'quic",
        ),
        (["frobnicate"], "No such command 'frobnicate'."),
    ],
)
def test_other_commands_refuse_as_clearly(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").touch()
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert line.startswith(f"error: {message}")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "full", "letter"]
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_a_file_that_is_not_text_is_refused(tmp_path, capsys):
    (tmp_path / "study.toml").write_bytes(b"\xff\xfe\x00")
    assert main(["check", str(tmp_path / "study.toml")]) == 2
    assert "scenario: must be text in UTF-8 (invalid start byte in line 1)" in capsys.readouterr().err


def test_several_faults_are_a_line_each(refused, studies):
    text = studies.text.replace(SNAPSHOTS, "snapshots = 0.5").replace(CHANNEL, '"rayliegh"')
    assert [line.partition(":")[0] for line in refused(text)] == ["base_station.snapshots", "users.channel.kind"]
