"""The command line from outside: what goes in, what comes out, exit codes, and how it fails. Never a traceback."""

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import LIMIT_S, PLAINT, environment, plaint, shown, trap, unheard
from tests.support.kafka_process import free_ports

SECRET = "whsec_" + "bm9ib2R5IG1heSBldmVyIHNlZSB0aGlzIHNlY3JldA=="
USAGE, UNAVAILABLE = 2, 69
HOOK = {"url": "http://127.0.0.1:9/hooks/helpdesk", "secret": SECRET}


def kafka(bootstrap: str, **more: object) -> dict[str, str]:
    """Settings that name a broker."""
    return {"PLAINT_KAFKA": json.dumps({"brokers": [bootstrap], "idempotent_producer": False, **more})}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where everything runs: a folder with packages of plaint's names that are not plaint's."""
    return trap(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="module")
def away(folder: Path) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """Every stage, started early against a broker that is away, since they wait half a minute for it."""
    settings = {**kafka(f"127.0.0.1:{free_ports(1)[0]}"), "PLAINT_DESTINATIONS": json.dumps({"helpdesk": HOOK})}
    (folder / "empty.jsonl").touch()
    stages = {
        "ingest": ["--source", "file:empty.jsonl"],
        "classify": [],
        "route": [],
        "deliver": ["--destination", "helpdesk"],
    }
    started = {
        stage: subprocess.Popen(
            [PLAINT, "run", stage, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment(settings),
        )
        for stage, options in stages.items()
    }
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


pytestmark = pytest.mark.usefixtures("away")


class TestClassify:
    def test_labels_come_in_order_with_the_ids_that_were_given_and_bad_lines_are_told(self, folder: Path) -> None:
        lines = [
            b'{"id": "a", "text": "my router is dead, third time, nobody answers"}\r',
            b'{"id": 7, "text": "thank you, lovely staff!"}',
            b'{"id": "a", "text": "again"',
            b"",
            b'{"id": 12345678901234567890, "text": "huge id"}',
            b'{"id": "long", "text": "' + b"x" * 1_000_000 + b'"}',
            b'{"id": "a"}',
            b'{"id": "e", "text": "x", "event": "explode"}',
            b"\xff\xfe",
            b'{"id": "surrogate", "text": "\\ud800"}',
            b'{"id": 1.5, "text": "no id"}',
            b'{"id": "7", "text": "", "unknown": [1]}',
        ]
        done = plaint("classify", cwd=folder, stdin=b"\n".join(lines))  # the last line has no end
        found = [json.loads(line) for line in done.stdout.splitlines()]
        told = [line.partition(":")[0] for line in done.stderr.decode().splitlines()]
        taken = [line["id"] for line in found]
        assert [id_ for id_ in taken if id_ != "long"] == ["a", 7, 12345678901234567890, "7"], shown(done)
        assert told[-1].endswith("lines could not be read")
        assert [place for place in told[:-1] if place != "line 6"] == [f"line {n}" for n in (3, 7, 8, 9, 10, 11)]
        assert ("long" in taken) != ("line 6" in told)
        assert done.returncode == 1

    def test_a_line_of_labels_holds_what_is_documented(self, folder: Path) -> None:
        post = {"id": "a\u009b31m\u202e", "text": "my router is dead, third time"}
        done = plaint("classify", cwd=folder, stdin=json.dumps(post, ensure_ascii=False).encode())
        assert json.loads(done.stdout)["id"] == post["id"]
        assert not {"\u009b", "\u202e"} & set(done.stdout.decode())
        done = plaint("classify", cwd=folder, stdin=b'{"id": 1, "text": "my router is dead, third time"}\n')
        assert done.returncode == 0, shown(done)
        assert done.stderr == b""
        [labels] = [json.loads(line) for line in done.stdout.splitlines()]
        assert list(labels) == [
            "id",
            "intent",
            "confidence",
            "intents",
            "sentiment",
            "sentiments",
            "urgency",
            "urgencies",
            "urgent",
            "unsure",
            "unsure_why",
            "language",
            "model",
        ]
        assert set(labels["intents"]) == {"complaint", "question", "praise", "marketing", "other"}
        for distribution in ("intents", "sentiments", "urgencies"):
            assert sum(labels[distribution].values()) == pytest.approx(1, abs=1e-3)
        assert labels["confidence"] == max(labels["intents"].values())

    def test_nothing_in_is_nothing_out(self, folder: Path) -> None:
        done = plaint("classify", cwd=folder)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

    def test_a_line_of_a_slow_pipe_gets_its_answer_without_waiting_for_more(self, folder: Path) -> None:
        with subprocess.Popen(
            [PLAINT, "classify"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder, env=environment()
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            watch = threading.Timer(LIMIT_S, process.kill)
            watch.start()
            for number in range(3):
                process.stdin.write(b'{"id": %d, "text": "hello"}\n' % number)
                process.stdin.flush()
                assert json.loads(process.stdout.readline())["id"] == number
            process.stdin.close()
            assert process.stdout.read() == b""
            assert process.wait() == 0
            watch.cancel()

    def test_a_byte_order_mark_in_front_is_no_part_of_the_first_post(self, folder: Path) -> None:
        done = plaint(
            "classify", cwd=folder, stdin=b'\xef\xbb\xbf{"id": 1, "text": "hello"}\n{"id": 2, "text": "hello"}'
        )
        assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [1, 2], shown(done)

    def test_a_reader_that_goes_away_ends_it_quietly(self, folder: Path) -> None:
        with subprocess.Popen(
            [PLAINT, "classify"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=environment(),
        ) as process:
            assert process.stdout is not None
            process.stdout.close()
            _, errors = process.communicate(b'{"id": 1, "text": "hello"}\n', LIMIT_S)
        assert errors == b""
        assert process.returncode == 0


@pytest.mark.parametrize(
    "command",
    [
        ["check-config"],
        ["models", "list"],
        ["completion", "bash"],
        ["route", "test", "labelled.jsonl"],
        ["destination", "--help"],
    ],
)
def test_a_reader_who_has_seen_enough_ends_any_command_well(folder: Path, command: list[str]) -> None:
    (folder / "labelled.jsonl").write_text('{"id": "1", "intent": "praise", "text": "thanks"}\n')
    done = unheard(*command, cwd=folder, settings={})
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["check-config"], USAGE),
        (["route", "test", "labelled.jsonl", "--expect", "rule"], 1),
        (["status"], USAGE),
        (["no-such-command"], USAGE),
    ],
)
def test_a_fault_has_its_exit_code_also_where_nobody_reads_of_it(folder: Path, command: list[str], code: int) -> None:
    (folder / "labelled.jsonl").write_text(
        '{"id": "1", "intent": "praise", "text": "thanks", "rule": "none of ours"}\n'
    )
    settings = {} if command[0] == "route" else {"PLAINT_KAFKA": '{"brokerz": []}'}
    done = unheard(*command, cwd=folder, settings=settings, errors_too=True)
    assert done.returncode == code


@pytest.mark.parametrize("command", ["completion bash", "classify"])
def test_a_command_without_a_standard_output_does_what_it_does(folder: Path, command: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" {command} >&-', PLAINT],
        input=b'{"id": 1, "text": "hello"}\n',
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment(),
        timeout=LIMIT_S,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("seconds", ["nan", "inf", "1e300", "0"])
@pytest.mark.parametrize("command", [["status", "--watch"], ["up", "--patience"]])
def test_seconds_that_nobody_can_wait_are_wrong_usage(folder: Path, command: list[str], seconds: str) -> None:
    done = plaint(*command, seconds, cwd=folder)
    assert done.returncode == USAGE
    assert f"Invalid value for '{command[-1]}'" in done.stderr.decode()


@pytest.mark.parametrize(("check", "code"), [("machine", 0), ("brokers", 1)])
def test_a_verdict_is_the_same_whoever_reads_it(folder: Path, check: str, code: int) -> None:
    settings = kafka(f"127.0.0.1:{free_ports(1)[0]}")
    done = unheard("doctor", check, cwd=folder, settings=settings)
    assert (done.returncode, done.stderr) == (code, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "command", [["check-config"], ["models", "list"], ["--help"], ["completion", "bash"], ["doctor", "machine"]]
)
def test_a_full_disk_under_what_it_writes_is_told(folder: Path, command: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [PLAINT, *command], stdout=full, stderr=subprocess.PIPE, cwd=folder, env=environment(), timeout=LIMIT_S
        )
    assert done.stderr == b"plaint: what it writes to: No space left on device; make room and run it again\n"
    assert done.returncode == UNAVAILABLE


class TestCheckConfig:
    def test_the_shipped_setup_can_be_used(self, folder: Path) -> None:
        done = plaint("check-config", cwd=folder)
        assert (done.returncode, done.stdout.decode()) == (0, "settings and routes can be used\n"), shown(done)

    def test_all_faults_of_settings_are_told_at_once_and_no_secret_with_them(self, folder: Path) -> None:
        wrong = {
            "kafka": {"brokres": ["kafka:9092"], "partitions": 0, "sasl_password": SECRET},
            "destinations": {
                "helpdesk": {"url": f"https://desk.example/{SECRET}#x", "secret": SECRET},
                "Service": {"url": "https://desk.example", "secret": SECRET[:-9]},
                "other": {"url": f"http://{SECRET}@desk.example", "secrt": SECRET, "secret": SECRET},
            },
        }
        (folder / "wrong.yaml").write_text(json.dumps(wrong, indent=1))
        settings = {
            "PLAINT_CONFIG": "wrong.yaml",
            "PLAINT_KAFCA__BROKERS": f'["{SECRET}"]',
            "PLAINT_CLASSIFY__TREADS": SECRET,
        }
        done = plaint("check-config", cwd=folder, settings=settings)
        assert done.returncode == USAGE
        told = shown(done)
        for fault in (
            'PLAINT_KAFCA__BROKERS: is no setting; did you mean "PLAINT_KAFKA"?',
            'wrong.yaml:3: kafka.brokres: is no setting; did you mean "brokers"?',
            "wrong.yaml:6: kafka.partitions: ",
            'PLAINT_CLASSIFY__TREADS: is no setting; did you mean "PLAINT_CLASSIFY__THREADS"?',
            "destinations.helpdesk.url: must hold neither user, password nor fragment",
            "destinations.Service",
            "destinations.other.secrt: is no setting",
        ):
            assert fault in told, told
        assert "bm9ib2R5" not in told
        assert "Traceback" not in told

    def test_sources_weights_secrets_and_routes_are_looked_at_together(self, folder: Path) -> None:
        (folder / "weights").mkdir()
        (folder / "secret").write_text(SECRET[:-9])
        (folder / "routes.yaml").write_text("rules:\n  - name: all\n    why: x\n    destinations: [helpdsk]\n")
        settings = {
            "PLAINT_SOURCES": '["file:none.jsonl"]',
            "PLAINT_CLASSIFY__MODEL": "weights",
            "PLAINT_ROUTE__ROUTES": "routes.yaml",
            "PLAINT_DESTINATIONS": json.dumps(
                {
                    "helpdesk": {"url": "https://desk.example", "secret_file": "none"},
                    "service": {"url": "https://desk.example", "secret_file": "secret", "timeout_s": 58},
                }
            ),
        }
        done = plaint("check-config", cwd=folder, settings=settings)
        told = shown(done)
        assert done.returncode == USAGE, told
        for fault in (
            "sources[0].path: none.jsonl: No such file or directory",
            "classify.model: weights/manifest.json can't be read",
            f"destinations.helpdesk.secret_file: {folder / 'none'} can't be read: No such file or directory",
            "destinations.service.secret_file: secret: each line must be whsec_",
            "destinations.service.timeout_s: is 58 s, but in a rebalance a request has 55 s to end",
            'routes.yaml:4, rule "all", destinations.0: undefined destination "helpdsk" used in rule "all"',
            "6 faults",
        ):
            assert fault in told, told
        assert "bm9ib2R5" not in told

    def test_faults_of_the_routes_alone_are_told_apart_by_the_exit_code(self, folder: Path) -> None:
        (folder / "one.yaml").write_text("rules:\n  - {name: all, why: x, destinations: [nowhere]}\n")
        done = plaint("check-config", cwd=folder, settings={"PLAINT_ROUTE__ROUTES": "one.yaml"})
        assert done.returncode == 1
        assert "known are helpdesk, marketing, service" in shown(done)


class TestFailing:
    @pytest.mark.parametrize(
        "stage", [["ingest"], ["classify"], ["route"], ["deliver", "--destination", "x"]], ids=" ".join
    )
    def test_a_stage_without_brokers_says_what_to_set(self, folder: Path, stage: list[str]) -> None:
        done = plaint("run", *stage, cwd=folder)
        assert done.returncode == USAGE
        assert "kafka.brokers: is empty; name your brokers" in shown(done)
        assert "Traceback" not in shown(done)

    @pytest.mark.parametrize(
        ("arguments", "settings", "told"),
        [
            (["up", "--source", "file:none.jsonl"], {}, "sources[0].path: none.jsonl: No such file or directory"),
            (["up", "--source", "kafka:x"], {}, "--source \"kafka:x\": 'kafka:x' names no source; it takes file:PATH"),
            (["up", "--source", "file:x,lop=1"], {}, '--source "file:x,lop=1": its lop is no setting'),
            (["up", "--source", "file:x,rate=fast"], {}, '--source "file:x,rate=fast": its rate is no number'),
            (["up", "--exit-when-done"], {}, "--exit-when-done needs a source that ends"),
            (["up", "--samples"], {"PLAINT_ROUTE__ROUTES": "none.yaml"}, "none.yaml: can't be read"),
            (
                ["up"],
                {"PLAINT_RUNTIME_DIR": "/dev/null"},
                "/dev/null: can't be used as the folder of what runs: File exists",
            ),
            (
                ["up"],
                {"XDG_RUNTIME_DIR": "/dev/null"},
                "Not a directory; set PLAINT_RUNTIME_DIR to a folder of this user",
            ),
            (["--config", "none.yaml", "up"], {}, "none.yaml: can't be read"),
            (["check-config"], {"PLAINT_KAFKA": '{"brokers": ["a:1"'}, "PLAINT_KAFKA"),
            (["check-config"], {"PLAINT_LOG_LEVEL": "LOUD"}, 'PLAINT_LOG_LEVEL: "LOUD" is no level'),
            (["classify"], {"PLAINT_CLASSIFY__MODEL": "./nowhere"}, "nowhere/manifest.json can't be read"),
            (["classify"], {"PLAINT_CLASSIFY__MODEL": "minilm"}, 'classify.model: no model is called "minilm"'),
            (["clasify"], {}, "No such command"),
        ],
    )
    def test_what_a_restart_cannot_mend_ends_with_code_2(
        self, folder: Path, arguments: list[str], settings: dict[str, str], told: str
    ) -> None:
        done = plaint(*arguments, cwd=folder, settings=settings)
        assert done.returncode == USAGE, shown(done)
        assert told in shown(done)
        assert "Traceback" not in shown(done)

    def test_topics_of_another_size_are_faults(self, folder: Path, new_tansu: str) -> None:
        (folder / "none.jsonl.gz").touch()
        arguments = ("run", "ingest", "--source", "file:none.jsonl.gz")
        first = plaint(*arguments, cwd=folder, settings=kafka(new_tansu))
        assert first.returncode == 0, shown(first)
        second = plaint(*arguments, cwd=folder, settings=kafka(new_tansu, partitions=7))
        assert second.returncode == USAGE
        assert "plaint.posts has 4 partitions, the settings say 7" in shown(second)
        assert "Traceback" not in shown(second)

    def test_a_destination_that_is_not_in_the_settings_is_named(self, folder: Path) -> None:
        settings = {**kafka("127.0.0.1:9"), "PLAINT_DESTINATIONS": json.dumps({"helpdesk": HOOK})}
        done = plaint("run", "deliver", "--destination", "helpdsk", cwd=folder, settings=settings)
        assert done.returncode == USAGE
        assert '"helpdsk" is not in the settings; did you mean "helpdesk"?' in shown(done)

    @pytest.mark.parametrize("stage", ["ingest", "classify", "route", "deliver"])
    def test_a_broker_that_is_away_is_told_in_time(
        self, away: "dict[str, subprocess.Popen[bytes]]", stage: str
    ) -> None:
        told, _ = away[stage].communicate(timeout=LIMIT_S)
        assert away[stage].returncode == UNAVAILABLE, told.decode()
        assert b"plaint: no broker answers: 127.0.0.1:" in told
        assert b"Traceback" not in told
        assert SECRET.encode() not in told


def test_every_command_explains_itself(folder: Path) -> None:
    for command in ([], ["up"], ["run", "deliver"], ["check-config"]):
        done = plaint(*command, "--help", cwd=folder, settings={"PLAINT_INBOX__SECRET": SECRET})
        assert done.returncode == 0
        assert done.stdout.startswith(b"Usage: plaint")
        assert SECRET not in shown(done)
