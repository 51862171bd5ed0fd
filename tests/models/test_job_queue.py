"""Jobs are worked on once, in turn, and taken over from whoever died; on both databases."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from config import holders, migrations
from config.database import Database
from config.errors import SealBroken
from config.sealing import Sealer
from models.errors import JobNotFound, LeaseLost
from models.job_queue import Jobs
from models.jobs import DATA, Job, Order, State, TrainingOrder, new_job_id
from models.training.progress import Result
from models.training_results import TrainingResults
from models.uploads import StoredPart
from tests import servers

LEASE = 30.0


@dataclass(frozen=True)
class Tenant:
    tenant_id: str


ACME, GLOBEX = Tenant("ten_acme"), Tenant("ten_globex")


@dataclass
class Queue:
    database: Database
    now: float = 1_000.0
    jobs: Jobs = field(init=False)

    def __post_init__(self) -> None:
        self.jobs = Jobs(lambda: self.now)

    def add(self, tenant: Tenant = ACME, model: str = "linear") -> str:
        self.now += 1
        order = Order(
            model=model,
            format="skops",
            parts={"file": StoredPart(7, "d" * 64)},
            grants="models.write",
        )
        job_id = new_job_id(self.now)
        with self.database.write() as session:
            self.jobs.add(
                session, tenant, job_id, order, created_by="user:ada@acme", principal_id="usr_1"
            )
        return job_id

    def claim(self, most: int = 100) -> Job | None:
        with self.database.write() as session:
            return self.jobs.claim(session, holder="here", seconds=LEASE, most=most)

    def claimed(self) -> Job:
        job = self.claim()
        assert job is not None
        return job

    def end(self, job: Job, state: State = State.READY) -> Job:
        with self.database.write() as session:
            return self.jobs.end(session, job, state, "done", version=1)

    def show(self, job_id: str, tenant: Tenant = ACME) -> Job:
        with self.database.read() as session:
            return self.jobs.show(session, tenant, job_id)


@pytest.fixture(params=["sqlite", "postgresql"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'sallyport.db'}"
        if request.param == "postgresql":
            server = request.getfixturevalue("postgresql_url")
            url = stack.enter_context(servers.own_database(server))
        database = Database(url)
        migrations.upgrade(database)
        yield Queue(database)
        database.close()


def test_a_job_goes_through_its_states_with_a_log(queue: Queue) -> None:
    job_id = queue.add()
    job = queue.claimed()
    with queue.database.write() as session:
        queue.jobs.tell(session, job, State.VERIFIED, "skops")

    assert queue.show(job_id).state is State.VERIFIED
    ended = queue.end(job)

    assert (ended.state, ended.version, ended.problem, ended.has_ended) == ("ready", 1, "", True)
    assert [entry.stage for entry in ended.log] == ["received", "verified", "ready"]
    assert queue.claim() is None


def test_a_job_is_claimed_by_one_of_many_at_once(queue: Queue) -> None:
    for _ in range(5):
        queue.add()
    claimed: list[str] = []

    def work() -> None:
        while (job := queue.claim()) is not None:
            claimed.append(job.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claimed) == len(set(claimed)) == 5


def test_a_tenant_with_many_jobs_leaves_the_others_their_turn(queue: Queue) -> None:
    for _ in range(4):
        queue.add(ACME)
    late = queue.add(GLOBEX)

    first, second = queue.claimed(), queue.claimed()

    assert first.tenant_id == ACME.tenant_id
    assert second.id == late


def test_of_two_tenants_with_waiting_jobs_each_is_worked_for_in_turn(queue: Queue) -> None:
    for _ in range(3):
        queue.add(ACME)
    for _ in range(3):
        queue.add(GLOBEX)
    served = []
    for _ in range(6):
        job = queue.claimed()
        served.append(job.tenant_id)
        queue.now += 1
        queue.end(job)

    assert served == [ACME.tenant_id, GLOBEX.tenant_id] * 3


def test_slow_jobs_of_one_tenant_leave_room_for_another(queue: Queue) -> None:
    for _ in range(4):
        queue.add(ACME)
    slow = [queue.claim(most=2), queue.claim(most=2)]
    assert all(slow)
    assert queue.claim(most=2) is None
    with queue.database.read() as session:
        assert not queue.jobs.waits(session, most=2)

    late = queue.add(GLOBEX)
    with queue.database.read() as session:
        assert queue.jobs.waits(session, most=2)
    other = queue.claim(most=2)
    assert other is not None
    assert other.id == late

    assert slow[0] is not None
    queue.end(slow[0])
    again = queue.claim(most=2)
    assert again is not None
    assert again.tenant_id == ACME.tenant_id


def test_a_tenant_gets_no_more_by_claims_at_once(queue: Queue) -> None:
    for _ in range(8):
        queue.add(ACME)
    claimed: list[str] = []
    barrier = threading.Barrier(6)

    def work() -> None:
        barrier.wait()
        while (job := queue.claim(most=2)) is not None:
            claimed.append(job.id)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claimed) == 2


def test_a_job_that_waits_to_be_tried_again_takes_no_room(queue: Queue) -> None:
    queue.add(ACME)
    queue.add(ACME)
    first = queue.claimed()
    with queue.database.write() as session:
        queue.jobs.give_back(session, first, "later", counts=True, seconds=60)

    second = queue.claim(most=1)
    assert second is not None
    assert second.id != first.id


def test_a_job_whose_holder_died_is_taken_over_and_the_dead_change_nothing(queue: Queue) -> None:
    job_id = queue.add()
    dead = queue.claimed()
    assert queue.claim() is None

    queue.now += LEASE + 1
    heir = queue.claimed()

    assert (heir.id, heir.attempts) == (job_id, 2)
    with pytest.raises(LeaseLost):
        queue.end(dead)
    with queue.database.write() as session, pytest.raises(LeaseLost):
        queue.jobs.tell(session, dead, State.VERIFIED, "late")
    with queue.database.write() as session, pytest.raises(LeaseLost):
        queue.jobs.renew(session, dead, seconds=LEASE)
    assert queue.end(heir).state is State.READY


def test_a_job_whose_holder_is_seen_to_be_gone_is_taken_over_at_once(queue: Queue) -> None:
    queue.add()
    with subprocess.Popen(["true"]) as process:
        started_before = holders.this_process()
        ended = started_before.replace(f":{os.getpid()}:", f":{process.pid}:")
    with queue.database.write() as session:
        dead = queue.jobs.claim(session, holder=ended, seconds=LEASE, most=1)
    assert dead is not None
    with queue.database.read() as session:
        assert queue.jobs.waits(session, most=1)

    heir = queue.claimed()

    assert (heir.id, heir.attempts) == (dead.id, 2)
    with pytest.raises(LeaseLost):
        queue.end(dead)


@pytest.mark.parametrize(
    "holder",
    ["elsewhere:1:1", "", "x", holders.this_process()],
    ids=["elsewhere", "unknown", "malformed", "alive"],
)
def test_a_job_whose_holder_runs_or_is_not_known_is_left_to_it(queue: Queue, holder: str) -> None:
    queue.add()
    with queue.database.write() as session:
        assert queue.jobs.claim(session, holder=holder, seconds=LEASE, most=1)
    with queue.database.read() as session:
        assert not queue.jobs.waits(session, most=1)
    assert queue.claim() is None


def test_a_lease_that_is_renewed_is_not_taken_over(queue: Queue) -> None:
    queue.add()
    job = queue.claimed()
    for _ in range(3):
        queue.now += LEASE - 1
        with queue.database.write() as session:
            assert queue.jobs.renew(session, job, seconds=LEASE)
        assert queue.claim() is None


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_is_told(queue: Queue) -> None:
    running_id = queue.add()
    running = queue.claimed()
    waiting_id = queue.add()
    with queue.database.write() as session:
        assert queue.jobs.cancel(session, ACME, waiting_id).state is State.CANCELLED
        assert queue.jobs.cancel(session, ACME, running_id).cancelling
    with queue.database.write() as session:
        assert not queue.jobs.renew(session, running, seconds=LEASE)

    assert queue.end(running, State.CANCELLED).problem == "done"
    with queue.database.write() as session:
        assert queue.jobs.cancel(session, ACME, running_id).state is State.CANCELLED


def test_a_job_that_is_given_back_is_begun_anew(queue: Queue) -> None:
    queue.add()
    with queue.database.write() as session:
        queue.jobs.give_back(session, queue.claimed(), "the worker stops", counts=False)
    again = queue.claimed()
    assert (again.attempts, again.state) == (1, State.RECEIVED)
    with queue.database.write() as session:
        queue.jobs.give_back(session, again, "the workshop crashed", counts=True)
    assert queue.claimed().attempts == 2


def test_no_tenant_sees_or_ends_the_job_of_another(queue: Queue) -> None:
    job_id = queue.add(ACME)
    with queue.database.write() as session:
        with pytest.raises(JobNotFound) as foreign:
            queue.jobs.show(session, GLOBEX, job_id)
        with pytest.raises(JobNotFound):
            queue.jobs.cancel(session, GLOBEX, job_id)
        absent = replace(queue.jobs.show(session, ACME, job_id), id="job_0").id
        with pytest.raises(JobNotFound) as missing:
            queue.jobs.show(session, GLOBEX, absent)
        assert queue.jobs.list(session, GLOBEX).items == ()
        assert queue.jobs.unfinished(session, GLOBEX.tenant_id, [job_id]) == set()
    assert str(foreign.value) == str(missing.value).replace(absent, job_id)


def test_jobs_are_listed_newest_first_a_page_at_a_time(queue: Queue) -> None:
    made = [queue.add() for _ in range(5)]
    with queue.database.read() as session:
        first = queue.jobs.list(session, ACME, limit=2)
        second = queue.jobs.list(session, ACME, after=first.next, limit=2)
        third = queue.jobs.list(session, ACME, after=second.next, limit=2)

    listed = [job.id for page in (first, second, third) for job in page.items]
    assert listed == made[::-1]
    assert third.next is None


def test_jobs_that_ended_long_ago_are_forgotten_and_open_ones_never(queue: Queue) -> None:
    old, kept = queue.add(), queue.add()
    queue.end(queue.claimed())
    with queue.database.write() as session:
        assert queue.jobs.purge(session, before=queue.now + 1) == 1
        assert queue.jobs.open_of(session, ACME) == 1
        assert queue.jobs.unfinished(session, ACME.tenant_id, [old, kept]) == {kept}
        queue.jobs.delete_tenant(session, ACME)
        assert queue.jobs.open_of(session, ACME) == 0


@dataclass
class Trainings(Queue):
    """The queue of trainings in the same database."""

    def __post_init__(self) -> None:
        self.jobs = Jobs(lambda: self.now, kind="training")

    def add(self, tenant: Tenant = ACME, model: str = "linear") -> str:
        self.now += 1
        order = TrainingOrder(
            model=model,
            spec={"model": model, "target": "y"},
            parts={DATA: StoredPart(7, "e" * 64)},
            name="table.csv",
            grants="training models.write",
            seconds=60.0,
        )
        job_id = new_job_id(self.now)
        with self.database.write() as session:
            self.jobs.add(
                session, tenant, job_id, order, created_by="user:ada@acme", principal_id="usr_1"
            )
        return job_id


@pytest.fixture
def trainings(queue: Queue) -> Trainings:
    return Trainings(queue.database)


def test_jobs_of_another_kind_are_left_alone(queue: Queue, trainings: Trainings) -> None:
    intake, training = queue.add(), trainings.add()
    assert queue.claimed().id == intake
    assert queue.claim() is None
    assert trainings.claim(most=1) is not None, "its tenant has an intake that is worked on"
    with queue.database.write() as session:
        for mine, other in ((queue, training), (trainings, intake)):
            assert len(mine.jobs.list(session, ACME).items) == 1
            assert mine.jobs.open_of(session, ACME) == 1
            with pytest.raises(JobNotFound):
                mine.jobs.cancel(session, ACME, other)
        assert set(queue.jobs.open_by_state(session)) & {"training", "compiled"} == {"compiled"}
        assert trainings.jobs.open_by_state(session) == {
            "received": 1,
            "training": 0,
            "registering": 0,
        }
        both = queue.jobs.unfinished(session, ACME.tenant_id, [intake, training])
        assert both == {intake, training}, "the uploads of both are needed"
        trainings.jobs.delete_tenant(session, ACME)
        assert queue.jobs.open_of(session, ACME) == 0


def test_every_change_of_a_job_has_the_next_number(trainings: Trainings) -> None:
    job_id = trainings.add()
    job = trainings.claimed()
    with trainings.database.write() as session:
        trainings.jobs.tell(session, job, State.TRAINING, "begun")
        trainings.jobs.progressed(session, job, {"phase": "comparing", "done": 1})
        trainings.jobs.progressed(session, job, {"phase": "comparing", "done": 2})

    shown = trainings.show(job_id)

    assert [entry.number for entry in shown.log] == [1, 2]
    assert shown.progress == {"phase": "comparing", "done": 2, "number": 4}
    assert shown.revision == 4
    trainings.now += LEASE + 1
    heir = trainings.claimed()
    with trainings.database.write() as session, pytest.raises(LeaseLost):
        trainings.jobs.progressed(session, job, {"done": 3})
    assert heir.progress["done"] == 2


def test_one_job_is_taken_when_nobody_works_on_it(trainings: Trainings) -> None:
    job_id = trainings.add()

    def take(holder: str = holders.this_process(), tenant: Tenant = ACME) -> Job | None:
        with trainings.database.write() as session:
            return trainings.jobs.take(session, tenant, job_id, holder=holder, seconds=LEASE)

    def idle() -> list[str]:
        with trainings.database.read() as session:
            return [job.id for job in trainings.jobs.idle(session, ACME)]

    with pytest.raises(JobNotFound):
        take(tenant=GLOBEX)
    assert idle() == [job_id]
    held = take()
    assert held is not None
    assert (take(), idle()) == (None, [])
    with trainings.database.write() as session:
        trainings.jobs.give_back(session, held, "later", counts=True, seconds=60)
    assert idle() == [job_id], "put off, but not for who asks for it"
    again = take()
    assert again is not None
    assert again.attempts == 2
    trainings.end(again)
    assert (take(), idle()) == (None, [])


def test_a_job_that_nobody_goes_on_with_is_ended(trainings: Trainings) -> None:
    forgotten = trainings.add()
    trainings.now += 100
    recent = trainings.add()
    with trainings.database.write() as session:
        assert trainings.jobs.expire(session, before=trainings.now - 50, note="forgotten") == 1

    assert trainings.show(forgotten).state is State.CANCELLED
    assert trainings.show(recent).state is State.RECEIVED


def test_what_a_training_found_out_is_kept_sealed_and_goes_with_it(trainings: Trainings) -> None:
    kept, sealer = TrainingResults(), Sealer((b"k" * 32,))
    trainings.add()
    other_id = trainings.add(GLOBEX)
    job, other = trainings.claimed(), trainings.show(other_id, GLOBEX)
    found = [Result(f"fold/{n}", {"score": n / 3}) for n in range(3)]
    with trainings.database.write() as session:
        size = kept.keep(session, job, found, sealer, room=10_000)
        assert kept.keep(session, job, found[:1], sealer, room=10_000) < size, "again is once"
        assert kept.size_of(session, job) == size
        assert kept.size_of(session, other) == 0
        assert kept.keep(session, other, found, sealer, room=size // 2) <= size // 2
    with trainings.database.read() as session:
        assert sorted(kept.known(session, job, sealer), key=lambda r: r.key) == found
        with pytest.raises(SealBroken):
            list(kept.known(session, job, Sealer((b"o" * 32,))))
    with trainings.database.write() as session:
        assert kept.forget(session, other.id) > 0
        trainings.jobs.delete_tenant(session, ACME)
        assert kept.size_of(session, job) == 0
