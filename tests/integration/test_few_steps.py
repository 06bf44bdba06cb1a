"""A run with all that saves evaluations: a solver, a split list of timesteps, and no more of it than is needed."""

import json

from hsx.cli import main
from hsx.store.records import record_of

FEW = [
    *("--model.solver", "Multistep2M", "--model.spacing", "split", "--model.t_start", "auto"),
    *(
        "--model.schedule",
        "Interval",
        "--model.schedule.init_args.t_hi",
        "300",
        "--model.schedule.init_args.t_lo",
        "0",
        "--model.t_edit",
        "0",
    ),
    *("--model.generation_steps", "7", "--model.inversion_steps", "9", "--model.t_boost", "0"),
    *("--trainer.accelerator", "cpu"),
]


def test_made_resumed_and_remade(tiny_model, pictures, capsys):
    out = pictures / "out"
    run = [
        "predict",
        "--model.backbone",
        str(tiny_model),
        "--output_dir",
        str(out),
        "--store.path",
        str(pictures / "s"),
    ]
    run += ["--data.contents", str(pictures / "contents"), "--data.styles", str(pictures / "styles"), *FEW]
    assert main(run) == 0
    made = {path: path.read_bytes() for path in sorted(out.glob("*__*.png"))}
    assert len(made) == 6
    record = record_of(out / "c0__s0.png")
    said = json.dumps(record)
    assert all(name in said for name in ("Multistep2M", "split", "auto"))

    (out / "c1__s1.png").unlink()
    capsys.readouterr()
    assert main(run) == 0
    said = capsys.readouterr().out
    assert "1 picture made" in said and "5 were there already" in said
    assert "0 pictures inverted, 4 evaluations of the network" in said  # of 7 timesteps 3: 3 E, and 2 + 2 + 1 D
    assert {path: path.read_bytes() for path in sorted(out.glob("*__*.png"))}.keys() == made.keys()

    assert main(["remake", *map(str, made)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "6 of 6 are byte-identical"
    assert main(["show", str(out / "c0__s0.png"), "--config"]) == 0
    (pictures / "again.yaml").write_text(capsys.readouterr().out)
    again = pictures / "again"
    assert main(["predict", "--config", str(pictures / "again.yaml"), "--output_dir", str(again)]) == 0
    assert record_of(again / "c0__s0.png")["model"] == record["model"]

    assert main([*run, "--model.solver", "DDIM"]) == 2  # another solver, another run
    assert "--overwrite true" in capsys.readouterr().err
    assert main([*run, "--model.inverter", "2", "--output_dir", str(pictures / "no")]) == 2
    said = capsys.readouterr().err
    assert "inverter: expected the solver DDIM with it" in said and "Traceback" not in said
