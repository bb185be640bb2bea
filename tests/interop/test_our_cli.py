"""Our command line: what it does, and that programs which read the official one's exit codes and JSON can read ours."""

import asyncio
import json
import os

import pytest
from conftest import _module
from flows import ACTIVITIES, WORKFLOWS
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

pytestmark = pytest.mark.asyncio
OFFICIAL = os.environ.get("PERDURE_TEMPORAL")
OURS = _module.PROGRAM


async def run(program, home, *words):
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "USER": "tester"}
    process = await asyncio.create_subprocess_exec(program, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment)
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def keys(value, path=""):
    """Every path of keys in a document, list elements laid over each other. Keys that are ids themselves count as one."""
    found = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            here = f"{path}.{'*' if path.endswith('requestIdInfos') else key}"
            found |= {here} | keys(inner, here)
    elif isinstance(value, list):
        for inner in value:
            found |= keys(inner, path + "[]")
    return found


# Messages that have grown since the official command line of this version was made; it does not know the new fields.
NEWER = (".events[].workflowExecutionSignaledEventAttributes.requestId", ".namespaceInfo.limits", ".namespaceInfo.capabilities.", ".capabilities.")

# In order; {w} is the workflow id, different for each program. The second column is the exit status.
SERVER_ROWS = [
    ("workflow start --type Collects -t {q} -w {w}", 0),
    ("workflow start --type Collects -t {q} -w {w} --fail-existing", 1),
    ("workflow start --type Collects -t {q} -w {w} --input not-json", 1),
    ("workflow start --type Collects", 1),
    ('workflow signal -w {w} --name add --input "x"', 0),
    ("workflow query -w {w} --type count", 0),
    ("workflow query -w {w} --type missing", 1),
    ("workflow describe -w {w}", 0),
    ("workflow show -w {w}", 0),
    ("workflow stack -w {w}", 0),
    ("workflow metadata -w {w}", 0),
    ('workflow execute --type SayHello -t {q} -w {w}-hello --input "Ada"', 0),
    ("workflow execute --type FailsForGood -t {q} -w {w}-fails", 1),
    ("workflow result -w {w}-hello", 0),
    ("workflow result -w {w}-fails", 1),
    ("workflow result -w {w}-nobody", 1),
    ("workflow describe -w {w}-hello", 0),
    ("workflow describe -w {w}-nobody", 1),
    ("workflow show -w {w}-hello", 0),
    ("workflow reset -w {w}-hello --type FirstWorkflowTask --reason again", 0),
    ("workflow count --query WorkflowId='{w}'", 0),
    ("workflow list --query WorkflowId='{w}'", 0),
    ("workflow list --query (((", 1),
    ("workflow cancel -w {w}", 0),
    ("workflow signal-with-start --type Collects -t {q} -w {w}-sws --signal-name finish", 0),
    ("workflow start --type Sleeps -t nobody-polls -w {w}-sleeps --input 60", 0),
    ("workflow terminate -w {w}-sleeps --reason enough", 0),
    ("workflow delete -w {w}-sleeps", 0),
    ("task-queue describe -t {q}", 0),
    ("operator cluster health", 0),
    ("operator cluster describe", 0),
    ("operator cluster system", 0),
    ("operator namespace create -n {w}-ns --retention 48h", 0),
    ("operator namespace create -n {w}-ns", 1),
    ("operator namespace describe -n {w}-ns", 0),
    ("operator namespace update -n {w}-ns --description orders", 0),
    ("operator namespace describe -n {w}-none", 1),
    ("operator namespace list", 0),
    ("operator search-attribute create --name Region --type Keyword", 0),
    ("operator search-attribute create --name Region --type Nothing", 1),
    ("operator search-attribute list", 0),
    ("operator search-attribute remove --name Region --yes", 0),
    ("workflow list --no-such-flag", 1),
    ("workflow no-such-command", 1),
    ("workflow list --output yaml", 1),
]


async def test_same_exit_codes_and_keys(server, client, queue, tmp_path):
    programs = [("ours", OURS)] + ([("official", OFFICIAL)] if OFFICIAL else [])
    async with Worker(client, task_queue=queue, workflows=WORKFLOWS, activities=ACTIVITIES, workflow_runner=UnsandboxedWorkflowRunner()):
        for row, status in SERVER_ROWS:
            answers = {}
            for name, program in programs:
                words = row.format(q=queue, w=f"w-{name}").split()
                tail = [] if "--output" in row else ["-o", "json"]
                code, out, err = await run(program, tmp_path, *words, *tail, "--address", server.address)
                assert code == status, (name, row, out, err)
                assert status == 0 or err.strip(), (name, row)
                answers[name] = keys(json.loads(out)) if status == 0 and out.strip() else set()
            if len(answers) == 2:
                more = {key for key in answers["ours"] - answers["official"] if not key.removeprefix("[]").startswith(NEWER)}
                assert not more and answers["official"] <= answers["ours"], (row, more, answers["official"] - answers["ours"])


LOCAL_ROWS = [
    ("config set --prop address --value localhost:1", 0),
    ("config set --prop tls.server_name --value x", 0),
    ("config set --prop nonsense --value x", 1),
    ("config get", 0),
    ("config get --prop address", 0),
    ("config get --prop nonsense", 1),
    ("config list", 0),
    ("config delete --prop address", 0),
    ("config delete-profile --profile default", 0),
    ("config delete-profile --profile nobody", 1),
    ("env set --env prod --key address --value localhost:2", 0),
    ("env get --env prod", 0),
    ("env list", 0),
    ("env get --env nobody", 1),
    ("env delete --env prod --key address", 0),
    ("env delete --env prod", 0),
]


async def test_profiles_and_environments(tmp_path):
    for row, status in LOCAL_ROWS:
        answers = []
        for name, program in [("ours", OURS)] + ([("official", OFFICIAL)] if OFFICIAL else []):
            home = tmp_path / name
            home.mkdir(exist_ok=True)
            code, out, err = await run(program, home, *row.split(), "-o", "json")
            assert code == status, (name, row, out, err)
            answers.append(json.loads(out) if status == 0 and out.strip() else None)
        assert all(answer == answers[0] for answer in answers), (row, answers)


async def test_a_profile_and_an_environment_say_where_the_server_is(server, tmp_path):
    assert (await run(OURS, tmp_path, "operator", "cluster", "health"))[0] == 1
    await run(OURS, tmp_path, "env", "set", "--env", "here", "--key", "address", "--value", server.address)
    assert (await run(OURS, tmp_path, "operator", "cluster", "health", "--env", "here"))[:2] == (0, "SERVING\n")
    await run(OURS, tmp_path, "config", "set", "--prop", "address", "--value", server.address)
    assert (await run(OURS, tmp_path, "operator", "cluster", "health"))[:2] == (0, "SERVING\n")


async def test_a_typing_error_gets_a_suggestion(tmp_path):
    code, out, err = await run(OURS, tmp_path, "workflow", "lsit")
    assert code == 1 and out == "" and 'did you mean "list"' in err
    code, out, _ = await run(OURS, tmp_path, "workflow", "start", "--help")
    assert code == 0 and "--task-queue" in out and "Examples" in out


async def test_completion_offers_commands_and_flags(tmp_path):
    script = (await run(OURS, tmp_path, "completion", "bash"))[1]
    (tmp_path / "complete.sh").write_text(script)
    ask = f"source {tmp_path}/complete.sh; COMP_WORDS=(perdure workflow st); COMP_CWORD=2; _perdure; echo ${{COMPREPLY[@]}}"
    assert (await run("bash", tmp_path, "-c", ask))[1].split() == ["start", "stack"]
    ask = f"source {tmp_path}/complete.sh; COMP_WORDS=(perdure workflow show --fol); COMP_CWORD=3; _perdure; echo ${{COMPREPLY[@]}}"
    assert (await run("bash", tmp_path, "-c", ask))[1].split() == ["--follow"]
