"""Our command line: what it does, and that programs which read the official one's exit codes and JSON can read ours."""

import asyncio
import json
import os
import pty
import select
import signal
from datetime import timedelta

import pytest
from conftest import OFFICIAL, Server, _module
from flows import ACTIVITIES, WORKFLOWS
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig

pytestmark = pytest.mark.asyncio
OURS = _module.PROGRAM
eventually = _module.eventually


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
NEWER = (".events[].workflowExecutionSignaledEventAttributes.requestId", ".namespaceInfo.limits", ".namespaceInfo.capabilities.", ".capabilities.",
         ".operationType", ".stateSizeBytes", ".info.stateSizeBytes", ".workflowExecutionInfo.", ".versioningInfo.", ".workerDeploymentInfo.",
         ".workerHeartbeat.environment", ".workerHeartbeat.hostInfo.workerGroupingKey")
OLDER = (".workerHeartbeat.hostInfo.processKey",)  # what was called otherwise then

# In order; ~ is a space inside a word, {w} is the workflow id, different for each program. The second column is the exit status; "same" where our server has not
# got the method yet: 0 on the official server, and here the two programs have to agree.
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
SERVER_ROWS += [
    ("workflow describe -w {w}-hello --raw", 0),
    ("workflow describe -w {w}-hello --reset-points", 0),
    ("workflow result -w {w}-hello --no-json-shorthand-payloads", 0),
    ("workflow query -w {w}-hello --type count --reject-condition not_open", 1),
    ("workflow execute --type SayHello -t {q} -w {w}-hello2 --input \"Ada\" --no-json-shorthand-payloads --memo note=\"text\" --static-summary text --priority-key 2 --detailed", 0),
    ("workflow execute --type SayHello -t {q} -w {w}-hello3 --input \"Ada\" --input-meta encoding=json/plain --input-meta more=x --execution-timeout 1m --run-timeout 50s --detailed", 0),
    ("workflow start --type Sleeps -t nobody-polls -w {w}-bytes --input AAA= --input-base64 --input-meta encoding=binary/plain", 0),
    ("workflow show -w {w}-bytes", 0),
    ("workflow execute --type Continues -t {q} -w {w}-new --input 2", 0),
    ("workflow show -w {w}-hello2 --follow", 0),
    ("workflow start --type Sleeps -t nobody-polls -w {w}-late --input 1 --start-delay 1h --id-reuse-policy RejectDuplicate --id-conflict-policy Fail", 0),
    ("workflow start --type Sleeps -t nobody-polls -w {w}-cron --input 1 --cron 0~3~*~*~*", 0),
    ("workflow start --type Sleeps -t nobody-polls -w {w}-bad --input 1 --id-reuse-policy Sometimes", 1),
    ("workflow start --type Sleeps -t nobody-polls -w {w}-bad --input 1 --start-delay soon", 1),
    ("workflow start --type Sleeps -t nobody-polls -w {w}-bad --input 1 --input-file /nonexistent", 1),
    ("workflow start --type Sleeps -t nobody-polls -w {w}-bad --memo note=text", 1),
    ("workflow start --type Sleeps -t nobody-polls -w {w}-bad --search-attribute Nowhere=1", 1),
    ("workflow describe -w {w}-late", 0),
    ("workflow signal-with-start --type Collects -t {q} -w {w}-sws2 --signal-name add --signal-input \"x\" --signal-input-meta a=b", 0),
    ("workflow count --query GROUP~BY~ExecutionStatus", 0),
    ("workflow list --limit 3", 0),
    ("workflow list --query ExecutionStatus~=~'Completed' --limit 2 -o jsonl --output jsonl", 0),
    ("workflow execute-update-with-start --type Adds -t {q} -w {w}-upd --update-name add --update-input 3 --id-conflict-policy UseExisting", 0),
    ("workflow execute-update-with-start --type Adds -t {q} -w {w}-upd --update-name add --update-input 3", 1),
    ("workflow execute-update-with-start --type Adds -t {q} -w {w}-upd --update-name refuse --id-conflict-policy UseExisting", 1),
    ("workflow start-update-with-start --type Adds -t {q} -w {w}-upd --update-name wait --update-wait-for-stage accepted --update-id slow --id-conflict-policy UseExisting", 0),
    ("workflow update describe -w {w}-upd --update-id slow", 0),
    ("workflow update start -w {w}-upd --name add -i 3 --wait-for-stage accepted", 0),
    ("workflow update start -w {w}-upd --name add -i 3 --wait-for-stage completed", 1),
    ("workflow update execute -w {w}-upd --name add -i 3 --update-id three", 0),
    ("workflow update execute -w {w}-upd --name refuse", 1),
    ("workflow update result -w {w}-upd --update-id three", 0),
    ("workflow update describe -w {w}-upd --update-id three", 0),
    ("workflow update describe -w {w}-upd --update-id nobody", 1),
    ("workflow show -w {w}-upd", 0),
    ("workflow trace -w {w}-upd", 1),
    ("workflow start --type Delegates -t {q} -w {w}-act", 0),
    ("activity complete -w {w}-act --activity-id none --result 1", 1),
    ("activity complete -w {w}-act --activity-id work --result not-json", 1),
    ("activity pause -w {w}-act --activity-id work", 0),
    ("activity pause -w {w}-act", 1),
    ("activity unpause -w {w}-act --activity-id work", 0),
    ("activity reset -w {w}-act --activity-id work", 0),
    ("activity reset -w {w}-act", 1),
    ("activity reset --query WorkflowId='{w}-act' -y", 1),
    ("activity update-options -w {w}-act --activity-id work --heartbeat-timeout 5m --retry-maximum-attempts 3", 0),
    ("activity complete -w {w}-act --activity-id work --result 4", 0),
    ("workflow result -w {w}-act", 0),
    ("workflow start --type Delegates -t {q} -w {w}-act2", 0),
    ("activity fail -w {w}-act2 --activity-id work --reason no --detail 4", 0),
    ("workflow result -w {w}-act2", 1),
    ("schedule create -s {w}-s -w {w}-sw --type Sleeps -t nobody-polls --interval 1h/5m --cron 30~3~*~*~* --calendar {{\"hour\":\"3\",\"comment\":\"c\"}} --time-zone Europe/Berlin "
     "--schedule-memo a=1 --memo b=2 --input 3 --notes note --remaining-actions 5 --catchup-window 1m --jitter 1s --static-summary text --pause-on-failure", 0),
    ("schedule create -s {w}-s --type Sleeps -t nobody-polls", 1),
    ("schedule create -s {w}-s2 --type Sleeps -t nobody-polls --interval nonsense", 1),
    ("schedule create -s {w}-s2 --type Sleeps -t nobody-polls --calendar nonsense", 1),
    ("schedule create -s {w}-s2 --type Sleeps -t nobody-polls --overlap-policy skip", 1),
    ("schedule create -s {w}-s2 --type Sleeps", 1),
    ("schedule describe -s {w}-s", 0),
    ("schedule trigger -s {w}-s --overlap-policy AllowAll", 0),
    ("schedule backfill -s {w}-s --start-time 2026-01-01T00:00:00Z --end-time 2026-01-01T02:30:00Z --overlap-policy AllowAll", 0),
    ("schedule backfill -s {w}-s --start-time yesterday --end-time 2026-01-01T02:30:00Z", 1),
    ("schedule toggle -s {w}-s --pause --reason because", 0),
    ("schedule toggle -s {w}-s", 1),
    ("schedule list", 0),
    ("schedule list --query Nothing=1", 1),
    ("schedule update -s {w}-s -w {w}-sw --type Sleeps -t nobody-polls --interval 2h", 0),
    ("schedule describe -s {w}-s", 0),
    ("schedule describe -s {w}-none", 1),
    ("schedule update -s {w}-none --type Sleeps -t nobody-polls", 1),
    ("schedule delete -s {w}-s", 0),
    ("schedule delete -s {w}-none", 1),
    ("workflow start --type Sleeps -t nobody-polls -w {w}-many --input 60", 0),
    ("workflow signal --query WorkflowId='{w}-many' --name x -y --reason why", 0),
    ("workflow update-options --query WorkflowId='{w}-many' --versioning-override-behavior pinned -y", 1),
    ("workflow update-options --query WorkflowId='{w}-many' --versioning-override-behavior auto_upgrade -y", 0),
    ("workflow reset --query WorkflowId='{w}-many' --event-id 3 --reason why -y", 1),
    ("workflow reset --query WorkflowId='{w}-many' --type LastWorkflowTask --reason why -y", 0),
    ("workflow terminate --query WorkflowId='{w}-many'", 1),
    ("workflow terminate --query WorkflowId='{w}-many' -w x -y", 1),
    ("workflow terminate -y", 1),
    ("workflow cancel -w {w}-many --reason why", 1),
    ("workflow cancel -w {w}-many -y", 1),
    ("workflow cancel --query WorkflowId='{w}-many' -r x -y", 1),
    ("workflow cancel --query WorkflowId='{w}-many' -y", 0),
    ("workflow delete --query WorkflowId='{w}-none' -y --rps 5", 0),
    ("activity unpause --query WorkflowId='{w}-none' --match-all -y", 0),
    ("activity reset --query WorkflowId='{w}-none' --activity-type work -y", 0),
    ("batch list", 0),
    ("batch describe --job-id none", 1),
    ("batch terminate --job-id none --reason why", 1),
    ("workflow update-options -w {w}-many --versioning-override-behavior pinned", 1),
    ("workflow update-options -w {w}-many --versioning-override-behavior auto_upgrade", 0),
    ("workflow update-options -w {w}-many --versioning-override-behavior unspecified", 0),
    ("workflow update-options -w {w}-many", 1),
    ("workflow reset -w {w}-hello --type LastContinuedAsNew --reason why", 1),
    ("workflow reset -w {w}-hello --reason why", 1),
    ("workflow reset -w {w}-hello -e 4 --reason why --reapply-type None --reapply-exclude All", 1),
    ("workflow reset with-workflow-update-options -w {w}-hello --event-id 4 --reason why --versioning-override-behavior pinned", 1),
    ("workflow reset with-workflow-update-options -w {w}-hello --event-id 4 --reason why --versioning-override-behavior auto_upgrade", 0),
    ("workflow fix-history-json -s /nonexistent", 1),
    ("task-queue describe -t {q} --report-reachability --task-queue-type workflow --task-queue-type activity", 0),
    ("task-queue describe -t {q} --disable-stats", 0),
    ("task-queue describe -t {q} --legacy-mode", 0),
    ("task-queue describe -t {q} --task-queue-type all", 1),
    ("task-queue list-partition -t {q}", 0),
    ("task-queue config get -t {q}", 1),
    ("task-queue config get -t {q} --task-queue-type activity", 0),
    ("task-queue config set -t {q} --task-queue-type activity --queue-rps-limit 500 --queue-rps-limit-reason why --fairness-key-rps-limit-default 33.5", 0),
    ("task-queue config get -t {q} --task-queue-type activity", 0),
    ("task-queue config set -t {q} --task-queue-type activity --queue-rps-limit default", 0),
    ("task-queue config set -t {q} --task-queue-type workflow --queue-rps-limit 5", 1),
    ("task-queue config set -t {q} --task-queue-type activity --queue-rps-limit much", 1),
    ("task-queue get-build-ids -t {q}", "same"),
    ("task-queue update-build-ids add-new-default -t {q} --build-id {w}-1", "same"),
    ("task-queue update-build-ids add-new-default -t {q} --build-id {w}-2", "same"),
    ("task-queue update-build-ids add-new-compatible -t {q} --build-id {w}-1.1 --existing-compatible-build-id {w}-1", "same"),
    ("task-queue update-build-ids add-new-compatible -t {q} --build-id {w}-1.2 --existing-compatible-build-id {w}-1 --set-as-default", "same"),
    ("task-queue update-build-ids promote-set -t {q} --build-id {w}-2", "same"),
    ("task-queue update-build-ids promote-id-in-set -t {q} --build-id {w}-1", "same"),
    ("task-queue update-build-ids promote-set -t {q} --build-id {w}-none", 1),
    ("task-queue get-build-ids -t {q} --max-sets 1", "same"),
    ("task-queue get-build-id-reachability -t {q} --build-id {w}-1", "same"),
    ("task-queue get-build-id-reachability -t {q} --build-id {w}-1 --reachability-type open", "same"),
    ("task-queue versioning get-rules -t {w}-rules", "same"),
    ("task-queue versioning insert-assignment-rule -t {w}-rules --build-id 1 -y", "same"),
    ("task-queue versioning insert-assignment-rule -t {w}-rules --build-id 2 --rule-index 0 --percentage 10 -y", "same"),
    ("task-queue versioning insert-assignment-rule -t {w}-rules --build-id 2", 1),
    ("task-queue versioning replace-assignment-rule -t {w}-rules --build-id 3 --rule-index 0 --percentage 20 -y", "same"),
    ("task-queue versioning replace-assignment-rule -t {w}-rules --build-id 3 --rule-index 99 -y", 1),
    ("task-queue versioning add-redirect-rule -t {w}-rules --source-build-id 1 --target-build-id 1.1 -y", "same"),
    ("task-queue versioning replace-redirect-rule -t {w}-rules --source-build-id 1 --target-build-id 1.2 -y", "same"),
    ("task-queue versioning get-rules -t {w}-rules", "same"),
    ("task-queue versioning delete-redirect-rule -t {w}-rules --source-build-id 1 -y", "same"),
    ("task-queue versioning delete-assignment-rule -t {w}-rules --rule-index 0 -y", "same"),
    ("task-queue versioning commit-build-id -t {w}-rules --build-id 1 --force -y", "same"),
    ("task-queue versioning commit-build-id -t {w}-rules --build-id 9 -y", 1),
    ("worker list", "same"),
    ("worker describe --worker-instance-key none", 1),
    ("worker deployment list", "same"),
    ("worker deployment describe -d none", 1),
    ("worker deployment describe-version --deployment-name none --build-id 1", 1),
    ("worker deployment set-current-version --deployment-name none --build-id 1", 1),
    ("worker deployment delete -d none", "same"),
    ("operator cluster list", 0),
    ("operator cluster remove --name none", 1),
    ("operator cluster upsert --frontend-address 127.0.0.1:1", 1),
    ("operator nexus endpoint create --name {w}-ep --target-namespace default --target-task-queue {q} --description text", "same"),
    ("operator nexus endpoint create --name {w}-ep2", 1),
    ("operator nexus endpoint get --name {w}-ep", "same"),
    ("operator nexus endpoint get --name none", 1),
    ("operator nexus endpoint update --name {w}-ep --unset-description", "same"),
    ("operator nexus endpoint list", "same"),
    ("operator nexus endpoint delete --name {w}-ep", "same"),
    ("operator namespace create {w}-word", 0),
    ("operator namespace describe {w}-word", 0),
    ("operator namespace create -n {w}-ns2 --data a=b --email x@example.com --history-archival-state disabled", 0),
    ("operator namespace update -n {w}-ns2 --data a=c --retention 5d", 0),
    ("operator namespace delete -n {w}-ns2", 1),
    ("operator namespace delete -n {w}-ns2 -y", "same"),
    ("operator namespace delete -n {w}-none -y", 1),
    ("worker deployment manager-identity set --deployment-name none --self -y", 1),
    ("workflow list --archived", 1),
]


@workflow.defn
class Adds:
    """Takes updates until it is told to finish."""

    def __init__(self) -> None:
        self.total, self.done = 0, False

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: self.done)
        return self.total

    @workflow.update
    async def add(self, number: int) -> int:
        self.total += number
        return self.total

    @workflow.update
    async def refuse(self) -> None:
        raise ApplicationError("not this one")

    @workflow.update
    async def wait(self) -> None:
        await workflow.wait_condition(lambda: self.done)

    @workflow.signal
    def finish(self) -> None:
        self.done = True


@activity.defn
async def leave_open() -> int:
    activity.raise_complete_async()


@workflow.defn
class Delegates:
    """One activity that is ended from outside."""

    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity(leave_open, activity_id="work", start_to_close_timeout=timedelta(seconds=600))


def worker(client, queue):
    return Worker(client, task_queue=queue, workflows=[*WORKFLOWS, Adds, Delegates], activities=[*ACTIVITIES, leave_open], workflow_runner=UnsandboxedWorkflowRunner())


async def activity_is_started(client, workflow_id):
    async def check():
        described = await client.get_workflow_handle(workflow_id).describe()
        return [a for a in described.raw_description.pending_activities if a.attempt == 1 and a.HasField("last_started_time")]

    await eventually(check)


def difference(ours, theirs):
    """The keys that only one of two documents has, without those that came or went with the API."""
    more = {key for key in keys(ours) - keys(theirs) if not key.lstrip("[]").startswith(NEWER)}
    return more | {key for key in keys(theirs) - keys(ours) if not key.lstrip("[]").startswith(OLDER)}


async def compare(address, client, queue, home, takes_all):
    """Each row with each program on one server. `takes_all`: rows with "same" have to succeed."""
    programs = [("ours", OURS)] + ([("official", OFFICIAL)] if OFFICIAL else [])
    problems = []
    for row, status in SERVER_ROWS:
        answers, codes = {}, {}
        for name, program in programs:
            words = [word.replace("~", " ") for word in row.format(q=queue, w=f"w-{name}").split()]
            tail = [] if "--output" in row else ["-o", "json"]
            code, out, err = await run(program, home, *words, *tail, "--address", address)
            wanted = [status] if status != "same" else [0] if takes_all else [0, 1]
            if code not in wanted or (code != 0 and not err.strip()):
                problems.append((name, row, code, err[-500:]))
            codes[name] = code
            lines = out.splitlines() if "jsonl" in row else [out]
            answers[name] = [json.loads(line) for line in lines if line.strip()[:1] in ("{", "[")]
            if row.startswith("workflow start --type Delegates"):
                await activity_is_started(client, words[words.index("-w") + 1])
        if len(answers) == 2:
            differs = difference(answers["ours"], answers["official"])
            if differs or len(set(codes.values())) != 1:
                problems.append((row, codes, differs))
    assert not problems, "\n".join(str(problem) for problem in problems)


async def test_same_exit_codes_and_keys(queue, tmp_path):
    server = Server(tmp_path, "--dynamic-config-value", "frontend.MaxConcurrentBatchOperationPerNamespace=100")
    server.start()
    client = await Client.connect(server.address)
    async with worker(client, queue):
        await compare(server.address, client, queue, tmp_path, False)
    assert server.stop() == 0


@pytest.mark.skipif(not OFFICIAL, reason="the official command line, and the server in it, are not on this machine")
async def test_same_exit_codes_and_keys_on_the_official_server(official_server, queue, tmp_path):
    client = await Client.connect(official_server)
    async with worker(client, queue):
        await compare(official_server, client, queue, tmp_path, True)


async def answer(program, home, address, *words):
    """The document that a command prints; it has to succeed."""
    code, out, err = await run(program, home, *words, "-o", "json", "--address", address)
    assert code == 0, (words, out, err)
    return json.loads(out) if out.strip() else None


@pytest.fixture(params=["ours", "official"])
def any_server(request):
    """The address of our server, and of the official one where that is on this machine."""
    if request.param == "ours":
        return request.getfixturevalue("server").address
    if not OFFICIAL:
        pytest.skip("the official server is not on this machine")
    return request.getfixturevalue("official_server")


async def test_a_batch_job_from_its_start_to_its_end(any_server, queue, tmp_path):
    for i in range(3):
        await answer(OURS, tmp_path, any_server, "workflow", "start", "--type", "Sleeps", "-t", queue, "-w", f"{queue}-{i}", "--input", "60")
    query = f"WorkflowId STARTS_WITH '{queue}' AND ExecutionStatus = 'Running'"

    async def are_listed():
        return (await answer(OURS, tmp_path, any_server, "workflow", "count", "--query", query))["count"] == "3"

    await eventually(are_listed)
    job = (await answer(OURS, tmp_path, any_server, "workflow", "terminate", "--query", query, "--reason", "enough", "--rps", "50", "-y"))["batchJobId"]

    async def is_done():
        return (await answer(OURS, tmp_path, any_server, "batch", "describe", "--job-id", job))["state"] == "BATCH_OPERATION_STATE_COMPLETED"

    await eventually(is_done)
    described = await answer(OURS, tmp_path, any_server, "batch", "describe", "--job-id", job)
    assert described["totalOperationCount"] == described["completeOperationCount"] == "3" and described["reason"] == "enough"
    text = (await run(OURS, tmp_path, "batch", "describe", "--job-id", job, "--address", any_server))[1]
    assert "3/3" in text and "Completed" in text and "enough" in text
    for i in range(3):
        info = await answer(OURS, tmp_path, any_server, "workflow", "describe", "-w", f"{queue}-{i}")
        assert info["workflowExecutionInfo"]["status"] == "WORKFLOW_EXECUTION_STATUS_TERMINATED"
    listed = await answer(OURS, tmp_path, any_server, "batch", "list", "--limit", "1")
    assert len(listed) == 1
    if OFFICIAL:
        assert not difference(described, await answer(OFFICIAL, tmp_path, any_server, "batch", "describe", "--job-id", job)) - {".query"}
    code, _, err = await run(OURS, tmp_path, "workflow", "cancel", "--query", query, "--address", any_server, "-o", "json")
    assert code == 1 and "--yes" in err


@pytest.mark.skipif(not OFFICIAL, reason="the official server is not on this machine")
async def test_worker_deployments_on_the_official_server(official_server, queue, tmp_path):
    client = await Client.connect(official_server)

    def versioned(build_id):
        config = WorkerDeploymentConfig(version=WorkerDeploymentVersion("shop", build_id), use_worker_versioning=True)
        return Worker(client, task_queue=queue, workflows=[Versioned], workflow_runner=UnsandboxedWorkflowRunner(), deployment_config=config)

    async def both(*words):
        """What each program answers about the same thing."""
        ours, theirs = await answer(OURS, tmp_path, official_server, *words), await answer(OFFICIAL, tmp_path, official_server, *words)
        assert not difference(ours, theirs), (words, difference(ours, theirs))
        return ours

    async def sees_versions():
        code, out, _ = await run(OURS, tmp_path, "worker", "deployment", "describe", "-d", "shop", "-o", "json", "--address", official_server)
        return code == 0 and len(json.loads(out)["versionSummaries"]) == 2

    async with versioned("1.0"), versioned("2.0"):
        await eventually(sees_versions)
        await both("worker", "deployment", "list")
        for words in (
            ["set-current-version", "--deployment-name", "shop", "--build-id", "1.0", "-y"],
            ["set-ramping-version", "--deployment-name", "shop", "--build-id", "2.0", "--percentage", "25", "-y"],
            ["update-metadata-version", "--deployment-name", "shop", "--build-id", "1.0", "--metadata", 'commit="4f6c"'],
            ["manager-identity", "set", "--deployment-name", "shop", "--self", "-y"],
        ):
            await both("worker", "deployment", *words)
        described = await both("worker", "deployment", "describe", "-d", "shop")
        routing = described["routingConfig"]
        assert (routing["currentVersionBuildID"], routing["rampingVersionBuildID"], routing["rampingVersionPercentage"]) == ("1.0", "2.0", 25)
        assert described["managerIdentity"].startswith("temporal-cli:")
        version = await both("worker", "deployment", "describe-version", "--deployment-name", "shop", "--build-id", "1.0")
        assert version["taskQueuesInfos"] == [{"name": queue, "type": "workflow"}] and "commit" in version["metadata"]
        text = (await run(OURS, tmp_path, "worker", "deployment", "describe", "-d", "shop", "--address", official_server))[1]
        assert "1.0" in text and "25" in text and "Version Summaries" in text
        await both("worker", "deployment", "manager-identity", "unset", "--deployment-name", "shop", "-y")
        await both("worker", "deployment", "set-ramping-version", "--deployment-name", "shop", "--delete", "-y")
        await both("worker", "deployment", "set-current-version", "--deployment-name", "shop", "--unversioned", "-y")
        for seen in await both("worker", "list"):
            await both("worker", "describe", "--worker-instance-key", seen["workerHeartbeat"]["workerInstanceKey"])
        await both("workflow", "update-options", "--query", "WorkflowId = 'none'", "--versioning-override-behavior", "pinned", "--versioning-override-deployment-name", "shop",
                   "--versioning-override-build-id", "1.0", "-y")
    code, _, err = await run(OURS, tmp_path, "worker", "deployment", "set-current-version", "--deployment-name", "shop", "-y", "--address", official_server)
    assert code == 1 and "--build-id" in err


@workflow.defn(versioning_behavior=VersioningBehavior.PINNED)
class Versioned:
    @workflow.run
    async def run(self) -> None:
        pass


LOCAL_ROWS = [
    ("config set --prop address --value localhost:1", 0),
    ("config set --prop tls.server_name --value x", 0),
    ("config set --prop nonsense --value x", 1),
    ("config set --prop codec.endpoint --value http://localhost:1", 0),
    ("config set --prop codec.auth --value secret", 0),
    ("config set --prop grpc_meta.x-one --value 1", 0),
    ("config set --prop address --value localhost:2 --profile second", 0),
    ("config get --profile second", 0),
    ("config get --prop codec.endpoint", 0),
    ("config get --prop grpc_meta.x-one", 0),
    ("config list", 0),
    ("config delete --prop grpc_meta.x-one", 0),
    ("config delete --prop codec.auth", 0),
    ("config get --profile third", 1),
    ("config delete-profile --profile second", 0),
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
    ("env set staging.address localhost:3", 0),
    ("env set staging.tls-server-name x", 0),
    ("env get staging", 0),
    ("env get staging.address", 0),
    ("env get staging address", 1),
    ("env delete staging.tls-server-name", 0),
    ("env get staging", 0),
    ("env delete staging", 0),
    ("env delete staging", 0),  # again: nothing to do
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
    assert (await run("bash", tmp_path, "-c", ask))[1].split() == ["start", "start-update-with-start", "stack"]
    ask = f"source {tmp_path}/complete.sh; COMP_WORDS=(perdure workflow list --output js); COMP_CWORD=4; _perdure; echo ${{COMPREPLY[@]}}"
    assert (await run("bash", tmp_path, "-c", ask))[1].split() == ["json", "jsonl"]
    ask = f"source {tmp_path}/complete.sh; COMP_WORDS=(perdure workflow reset --type La); COMP_CWORD=4; _perdure; echo ${{COMPREPLY[@]}}"
    assert (await run("bash", tmp_path, "-c", ask))[1].split() == ["LastWorkflowTask", "LastContinuedAsNew"]
    ask = f"source {tmp_path}/complete.sh; COMP_WORDS=(perdure workflow show --fol); COMP_CWORD=3; _perdure; echo ${{COMPREPLY[@]}}"
    assert (await run("bash", tmp_path, "-c", ask))[1].split() == ["--follow"]


async def test_fish_completes(tmp_path):
    (tmp_path / "complete.fish").write_text((await run(OURS, tmp_path, "completion", "fish"))[1])

    async def offered(line):
        code, out, err = await run("fish", tmp_path, "-c", f"source {tmp_path}/complete.fish; complete -C '{line}'")
        assert (code, err) == (0, "")
        return [row.split("\t")[0] for row in out.splitlines()]
    assert await offered("perdure workflow st") == ["stack", "start", "start-update-with-start"]
    assert await offered("perdure workflow show --fol") == ["--follow"]
    assert "AllowDuplicateFailedOnly" in await offered("perdure workflow start --id-reuse-policy ")


async def test_zsh_completes(tmp_path):
    """In a terminal, as zsh completes nowhere else."""
    (tmp_path / "complete.zsh").write_text((await run(OURS, tmp_path, "completion", "zsh"))[1])
    (tmp_path / ".zshrc").write_text(f"PS1='ready> '\nunsetopt beep\nsource {tmp_path}/complete.zsh\n")
    process, terminal = pty.fork()
    if process == 0:
        os.execvpe("zsh", ["zsh", "-i"], {**os.environ, "ZDOTDIR": str(tmp_path), "TERM": "dumb"})

    async def until(text):
        seen = ""
        for _ in range(200):
            if select.select([terminal], [], [], 0)[0]:
                seen += os.read(terminal, 4096).decode(errors="replace")
            if text in seen:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(seen)
    try:
        await until("ready> ")
        for typed, completed in (("perdure workf\t", "perdure workflow "), ("sho\t", "show "), ("--fol\t", "--follow ")):
            os.write(terminal, typed.encode())
            await until(completed)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(terminal)
