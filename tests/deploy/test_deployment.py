"""The image, the compose file and the Kubernetes example, as far as they can be checked without a container engine."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf8")
BIN = Path(sys.executable).parent
OURS = {"airflow", "atelier", "dask"}
PINNED = re.compile(r"^[\w./:-]+:[\w.-]*\d[\w.-]*$")


def instructions() -> list[tuple[str, str]]:
    """Instruction and argument of every line of the Dockerfile, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    found = (line.split(None, 1) for line in text.splitlines() if line.strip())
    return [(name.upper(), rest) for name, rest in found]


def of(name: str) -> list[str]:
    return [rest for found, rest in instructions() if found == name]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_watched_and_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    limits = service["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0 and limits["memory"].endswith("g")
    assert service["restart"]
    assert PINNED.match(service["image"]) and "latest" not in service["image"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_refers_to_is_declared(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", ())) <= set(SERVICES)
    assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
    assert {one["source"] for one in service.get("configs", ())} <= set(COMPOSE["configs"])
    assert {volume.split(":")[0] for volume in service.get("volumes", ())} <= set(COMPOSE["volumes"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), "published to everybody"
    for dependency, how in service.get("depends_on", {}).items():
        wanted = "service_completed_successfully" if dependency == "migrate" else "service_healthy"
        assert how["condition"] == wanted


def test_all_parts_are_there() -> None:
    airflow = {"api-server", "scheduler", "dag-processor", "triggerer"}
    assert airflow | {"database", "store", "migrate", "dask-scheduler", "dask-worker"} == set(SERVICES)
    assert all((DEPLOY / one["file"]).is_file() for one in COMPOSE["configs"].values())


SECRET_NAME = re.compile(r"(secret|password|token|fernet|conn$|_key$)", re.IGNORECASE)


def secret_values(node: Any, name: str = "") -> list[str]:
    """Texts under names that sound like secrets, in parsed YAML; references (files, names of secrets) excepted."""
    if isinstance(node, dict):
        if "name" in node and isinstance(node.get("value"), str):  # Kubernetes' way of writing a variable
            return secret_values(node["value"], node["name"])
        return [found for key, value in node.items() for found in secret_values(value, str(key))]
    if isinstance(node, list):
        return [found for value in node for found in secret_values(value, name)]
    reference = name.endswith(("_FILE", "SecretName", "secretName", "secrets")) or "/run/secrets/" in str(node)
    return [f"{name}: {node}"] if SECRET_NAME.search(name) and not reference and isinstance(node, str) else []


def test_no_secret_is_written_down() -> None:
    del_files = {**COMPOSE, "secrets": None}
    found = secret_values(del_files)
    for path in (DEPLOY / "kubernetes").glob("*.yaml"):
        found += secret_values(list(yaml.safe_load_all(path.read_text(encoding="utf8"))))
    assert found == []
    assert all(one["file"].startswith("./secrets/") for one in COMPOSE["secrets"].values())
    ignored = (ROOT / ".gitignore").read_text(encoding="utf8").split()
    assert {"deploy/secrets/", "deploy/atelier.env"} <= set(ignored)
    example = (DEPLOY / "atelier.env.example").read_text(encoding="utf8")
    assert not [line for line in example.splitlines() if SECRET_NAME.search(line.partition("=")[0]) and line[0] != "#"]


def test_the_rule_finds_a_secret() -> None:
    assert secret_values({"environment": {"POSTGRES_PASSWORD": "x"}})
    assert secret_values({"env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}]})


def test_settings_that_are_named_exist() -> None:
    from pipeline.settings import Settings

    texts = [path.read_text(encoding="utf8") for path in DEPLOY.rglob("*") if path.is_file()]
    named = set(re.findall(r"ATELIER_([A-Z0-9]+)__([A-Z0-9_]+)", "\n".join(texts)))
    assert named
    for section, key in named:
        assert key.lower() in type(getattr(Settings(), section.lower())).model_fields, (section, key)


def commands() -> list[tuple[str, ...]]:
    """What the services and the image run, up to the first option."""
    lists = [service.get("command", []) for service in SERVICES.values()]
    lists += [service["healthcheck"]["test"] for service in SERVICES.values()]
    lists += [json.loads(text[text.index("[") :]) for text in (*of("ENTRYPOINT"), *of("HEALTHCHECK"))]
    words = [part for one in lists for text in one for part in re.split(r"\s*&&\s*", str(text))]
    found = {tuple(word.split()[:2]) for word in words if word.split()[:1] and word.split()[0] in OURS and " " in word}
    for one in lists:
        for at, word in enumerate(one):
            if word in OURS:
                found.add((word, *[w for w in one[at + 1 : at + 3] if not w.startswith("-") and ":" not in w]))
    return sorted(found)


def test_commands_are_found() -> None:
    assert {("airflow", "scheduler"), ("airflow", "db"), ("dask", "worker"), ("atelier",)} <= set(commands())


@pytest.mark.parametrize("command", [c for c in commands() if c[0] != "airflow"], ids=" ".join)
def test_every_command_exists(command: tuple[str, ...]) -> None:
    done = subprocess.run([BIN / command[0], *command[1:], "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if command[0] == "dask":
        wanted = [w for s in SERVICES.values() for w in s.get("command", ()) if command[-1] in s["command"]]
        options = {word for word in wanted if word.startswith("--")}
        assert all(option in done.stdout for option in options), options


def test_every_airflow_command_exists(tmp_path: Path) -> None:
    """Airflow takes long to start: one process looks them all up in its own parser."""
    lines = [list(command[1:]) for command in commands() if command[0] == "airflow"]
    program = (
        "import json, sys\nfrom airflow.cli.cli_parser import get_parser\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    try: get_parser().parse_args([*words, '--help'])\n"
        "    except SystemExit as end: assert end.code == 0, words\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, json.dumps(lines)],
        capture_output=True,
        text=True,
        env={"PATH": str(BIN), "AIRFLOW_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_script_that_hands_over_secrets_is_sound(tmp_path: Path) -> None:
    text = (DEPLOY / "with-secrets").read_text(encoding="utf8")
    read = set(re.findall(r"\$\(secret (\w+)\)", text))
    assert read == set(COMPOSE["secrets"])
    for name in read:
        (tmp_path / name).write_text(f"value of {name}")
    script = tmp_path / "with-secrets"
    script.write_text(text.replace("/run/secrets", str(tmp_path)))
    done = subprocess.run(["bash", script, "printenv", "AWS_SECRET_ACCESS_KEY"], capture_output=True, text=True)
    assert done.stdout == "value of store_secret_key\n"
    (tmp_path / "jwt_secret").unlink()
    assert subprocess.run(["bash", script, "true"], capture_output=True).returncode != 0


def test_the_image_keeps_to_the_rules_of_hadolint() -> None:
    """Those of its rules that can matter here, by their numbers."""
    stages = [text.split() for text in of("FROM")]
    assert all(":" in stage[0] and "latest" not in stage[0] for stage in stages), "DL3006, DL3007"
    assert len(stages) == 2 and stages[0][-1] == "build", "one stage builds, the other runs"
    assert of("USER")[-1].isdigit() and of("USER")[-1] != "0", "DL3002, and Kubernetes' runAsNonRoot needs a number"
    assert all(path.startswith("/") for path in of("WORKDIR")), "DL3000"
    assert not of("ADD"), "DL3020"
    assert not of("MAINTAINER"), "DL4000"
    assert all(text.startswith("[") for text in (*of("CMD"), *of("ENTRYPOINT"))), "DL3025"
    assert len(of("CMD")) == len(of("ENTRYPOINT")) == len(of("HEALTHCHECK")) == 1, "DL4003, DL4004, DL3012"
    for line in of("RUN"):
        assert not re.search(r"\b(sudo|ssh|vim|shutdown|apt )\b", line), "DL3001, DL3004, DL3027"
        assert not re.search(r"(^|&& )cd ", line), "DL3003"
        if "pip install uv" in line:
            assert "==" in line, "DL3013"
        if "-r " in line:
            assert "--require-hashes" in line
        assert "|" not in line, "DL4006"
    assert "PIP_NO_CACHE_DIR=1" in DOCKERFILE, "DL3042"
    assert not [text for text in (*of("ENV"), *of("ARG")) if SECRET_NAME.search(text)], "a secret in a layer"


def test_the_image_is_given_all_that_it_copies() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf8").split()
    for text in of("COPY"):
        if "--from" in text:
            continue
        for source in text.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(source.startswith(line.removeprefix("!")) for line in ignored if line[0] == "!"), source


def test_the_kubernetes_example() -> None:
    values = yaml.safe_load((DEPLOY / "kubernetes/airflow-values.yaml").read_text(encoding="utf8"))
    assert values["executor"] == "KubernetesExecutor"
    for part in ("apiServer", "scheduler", "dagProcessor", "triggerer", "workers"):
        assert {"requests", "limits"} <= values[part]["resources"].keys()
    cluster, policy = yaml.safe_load_all((DEPLOY / "kubernetes/dask-cluster.yaml").read_text(encoding="utf8"))
    assert (cluster["kind"], policy["kind"]) == ("DaskCluster", "NetworkPolicy")
    for part in ("worker", "scheduler"):
        spec = cluster["spec"][part]["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        (container,) = spec["containers"]
        assert {"requests", "limits"} <= container["resources"].keys() and container["readinessProbe"]
        assert PINNED.match(container["image"])
        assert (BIN / container["command"][0]).is_file()


def test_the_hook_gives_gpus_to_tasks_that_read_photos() -> None:
    """The hook is run as it stands, on objects that are as Kubernetes' client makes them."""
    from types import ModuleType, SimpleNamespace

    values = yaml.safe_load((DEPLOY / "kubernetes/airflow-values.yaml").read_text(encoding="utf8"))
    tree = ast.parse(values["airflowLocalSettings"])
    hook = ModuleType("hook")
    hook.__dict__["V1Toleration"] = SimpleNamespace
    body = ast.Module([node for node in tree.body if isinstance(node, ast.FunctionDef)], [])
    exec(compile(body, "airflow-values.yaml", "exec"), hook.__dict__)  # noqa: S102 - our own file

    def pod(task_id: str) -> Any:
        container = SimpleNamespace(resources=SimpleNamespace(limits={"cpu": "4"}))
        return SimpleNamespace(
            metadata=SimpleNamespace(labels={"task_id": task_id}),
            spec=SimpleNamespace(containers=[container], tolerations=None),
        )

    reading, other = pod("enrich"), pod("report")
    hook.pod_mutation_hook(reading)
    hook.pod_mutation_hook(other)
    assert reading.spec.containers[0].resources.limits == {"cpu": "4", "nvidia.com/gpu": "1"}
    assert [one.key for one in reading.spec.tolerations] == ["nvidia.com/gpu"]
    assert other.spec.containers[0].resources.limits == {"cpu": "4"}
    task_ids = (ROOT / "dags" / "catalog_enrichment.py").read_text(encoding="utf8")
    assert "enrich" in task_ids
