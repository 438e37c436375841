"""The portal, and what people do on its pages: what every lab has, whatever its hosts are."""

import email
import email.policy
import glob
import os
import re
import shutil
import sqlite3
import subprocess
import time
from datetime import datetime, timezone

import world
from browser import Browser
from watcher import await_answer
from world import Program, eventually, run

PORT = 8080
URL = f"http://127.0.0.1:{PORT}"
SECRET = "lab-secret-that-is-long-enough-for-anybody"
# Its staff sign in by their password, and are not asked again: what is tried here is not that.
UNASKED = 'second_factor = "offered"\nask_again_min = 1440\n'
MEMBER = ("member@lab.example", "a long enough password")
STAFF = ("staff@lab.example", "another long password")


class Portal:
    """A lab names its `hosts` (name to role, the source first) and its `linodes`, and brings the hosts up itself."""

    listen = f"127.0.0.1:{PORT}"

    def __init__(self, folder, linodes, hosts, database, profile):
        self.folder, self.linodes, self.hosts, self.database = folder, linodes, hosts, database
        target = os.environ.get("CARGO_TARGET_DIR", os.path.join(world.ROOT, "target"))
        build = os.path.join(target, "debug" if profile == "dev" else profile)
        self.portal_binary, self.agent_binary = os.path.join(build, "xenbeta"), os.path.join(build, "xenbeta-agent")
        self.programs = {}
        self.member = self.staff = None
        self.postgres = None

    # --- setting up ---

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def begin_portal(self):
        """The portal with its data, serving. Returns the hosts' enrolment tokens."""
        url = self.start_postgres() if self.database == "postgres" else self.path("portal.db")
        os.environ["DATABASE_URL"], os.environ["XENBETA_SECRET"] = url, SECRET
        with open(self.path("portal.toml"), "w") as file:
            file.write(f'listen = "{self.listen}"\n{UNASKED}')
            if not self.listen.startswith("127."):
                file.write(f'base_url = "{URL}"\n')
            file.write(f'[mail]\ntransport = "folder"\nfolder = "{self.path("mail")}"\nfrom = "beta@lab.example"\n')
        os.makedirs(self.path("mail"))
        self.portal_command("schema", "up")
        tokens = self.seed()
        self.start("portal", [self.portal_binary, "serve", "--config", self.path("portal.toml")])
        eventually("the portal answers", self.portal_answers, limit=30)
        return tokens

    def begin_people(self):
        self.member, self.staff = Browser(URL), Browser(URL)
        self.set_password(*MEMBER)
        self.member.sign_in(*MEMBER)
        self.staff.sign_in(*STAFF)
        # As short as the labs' guests allow; a real host watches longer.
        self.staff_sets(watch_s=10)

    def start_postgres(self):
        binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        data = self.path("pg")
        os.makedirs(data)
        os.chmod(self.folder, 0o755)
        run("chown", "postgres", data)
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        run(*as_postgres, f"{binaries}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", cwd="/")
        self.postgres = Program("postgres", [*as_postgres, f"{binaries}/postgres", "-D", data, "-k", data, "-p", "5433",
                                             "-c", "listen_addresses=127.0.0.1"], self.path("postgres.log")).start()
        self.psql = ["psql", "-h", "127.0.0.1", "-p", "5433", "-U", "postgres", "-X", "-q"]
        eventually("PostgreSQL answers", lambda: subprocess.run([*self.psql, "-c", "select 1", "postgres"], capture_output=True).returncode == 0)
        run(*self.psql, "-c", "create database xenbeta", "postgres")
        return "postgres://postgres@127.0.0.1:5433/xenbeta"

    def portal_command(self, *words, stdin=""):
        return run(self.portal_binary, *words, "--config", self.path("portal.toml"), input=stdin)

    def seed(self):
        """Hosts, customers and staff, by the commands operators have. Returns the hosts' enrolment tokens."""
        self.write_fleet(self.path("fleet.json"))
        self.portal_command("import", self.path("fleet.json"))
        self.portal_command("staff", "add", STAFF[0], "--name", "Sam Staff", "--role", "owner", "--password-stdin", stdin=STAFF[1])
        return {host: self.portal_command("host", "token", host).split()[-1] for host in self.hosts}

    def set_password(self, address, password):
        """Imported members have no password yet: they get one as anybody who forgot theirs, by mail."""
        browser = Browser(URL)
        page = browser.get("/password/forgot")
        browser.submit(page.form(action="/password/forgot"), {"email": address})

        def link():
            for name in glob.glob(self.path("mail", "*")):
                with open(name) as file:
                    message = email.message_from_file(file, policy=email.policy.default)
                text = message.get_body(("plain",)).get_content()
                found = re.search(r"/password/reset/\S+", text)
                if found and address in str(message["To"]):
                    return found.group(0)
        page = browser.get(eventually("the mail comes", link, limit=30))
        form = page.form(action="/password/reset")
        browser.submit(form, {name: password for name, _ in form.fields if "password" in name})

    # --- programs ---

    def start(self, name, command=None):
        if command:
            self.programs[name] = Program(name, command, self.path(f"{name}.log"))
        self.programs[name].start()

    def kill(self, name):
        self.programs[name].kill()

    def revive(self, name):
        self.start(name)
        if name == "portal":
            eventually("the portal answers", self.portal_answers, limit=30)

    def portal_answers(self):
        self.programs["portal"].check()
        try:
            return Browser(URL).get("/login")
        except (OSError, AssertionError):
            return None

    def check(self):
        for program in self.programs.values():
            program.check()

    def logs(self):
        return "\n".join(f"--- {name}\n{program.tail()}" for name, program in self.programs.items())

    def end(self):
        for name, program in self.programs.items():
            if program.process and program.process.poll() is None:
                program.kill(15 if name != "portal" else 9)
        if self.postgres:
            self.postgres.kill(2)
        # Guests outlive their agents, by design; they end with this process namespace.

    # --- what is so, as the database has it ---

    def rows(self, sql):
        if self.database == "sqlite":
            connection = sqlite3.connect(f"file:{self.path('portal.db')}?mode=ro", uri=True, timeout=10)
            try:
                return connection.execute(sql).fetchall()
            finally:
                connection.close()
        said = run(*self.psql, "-A", "-t", "-F", "\t", "-c", sql, "xenbeta")
        return [tuple(line.split("\t")) for line in said.splitlines()]

    def one(self, sql):
        rows = self.rows(sql)
        return rows[0] if rows else None

    @staticmethod
    def moment(text):
        text = str(text).replace("T", " ").rstrip("Z").removesuffix("+00:00").removesuffix("+00")
        base, _, fraction = text.partition(".")
        return datetime.fromisoformat(base).replace(tzinfo=timezone.utc).timestamp() + float("0." + (fraction or "0"))

    def seconds(self, begin, end):
        return self.moment(end) - self.moment(begin)

    def owner(self, linode):
        return self.one(f"SELECT h.name FROM linodes l JOIN hosts h ON h.id = l.host_id WHERE l.id = {linode.id}")[0]

    def status(self, linode):
        return self.one(f"SELECT status FROM linodes WHERE id = {linode.id}")[0]

    def await_status(self, linode, status, limit=60):
        eventually(f"{linode.label} is {status}", lambda: self.check() or self.status(linode) == status, limit=limit)

    def migration(self, migration):
        names = ("state", "step", "failure", "failure_detail", "sent_bytes", "warm_passes", "queued_at", "finished_at",
                 "stopped_at", "running_at", "foretold_ms", "foretold_most_ms")
        row = self.one(f"SELECT m.{', m.'.join(names)}, s.name, d.name FROM migrations m JOIN hosts s ON s.id = m.source_host_id "
                       f"JOIN hosts d ON d.id = m.destination_host_id WHERE m.id = {migration}")
        found = dict(zip(names + ("source", "destination"), row))
        return {**found, "sent_bytes": int(found["sent_bytes"]), "warm_passes": int(found["warm_passes"])}

    def step(self, migration):
        row = self.migration(migration)
        return f"{row['state']}/{row['step']}" if row["step"] else row["state"]

    def await_migration(self, migration, states, limit=180):
        def look():
            if not hasattr(self, "_tolerant"):
                self.check()
            return self.migration(migration)["state"] in states
        eventually(f"migration {migration} is {' or '.join(states)}", look, limit=limit)

    def is_settled(self, linode, migration):
        """The move is over, nothing of the Linode is in doubt, and it runs."""
        self.check()
        doubts = self.one(f"SELECT (SELECT count(*) FROM holds WHERE linode_id = {linode.id}) + (SELECT count(*) FROM portal WHERE recovery_since IS NOT NULL)")
        return (int(doubts[0]) == 0 and self.migration(migration)["state"] in ("finished", "failed")
                and self.status(linode) == "running")

    def put_back(self, backup):
        """A copy of the database stands in its place, and nobody is told."""
        assert self.database == "sqlite", "only on SQLite"
        for beside in ("-wal", "-shm"):
            if os.path.exists(self.path("portal.db") + beside):
                os.remove(self.path("portal.db") + beside)
        shutil.copyfile(backup, self.path("portal.db"))

    def digests(self, migration):
        found = {}
        for disk, side, root in self.rows(f"SELECT disk_id, side, root FROM digests WHERE migration_id = {migration}"):
            found.setdefault(int(disk), {})[side] = root
        return found

    def job_times(self, migration, kind):
        """When a job of the migration ran, in seconds after the click."""
        row = self.one(f"SELECT m.queued_at, j.started_at, j.finished_at FROM jobs j JOIN migrations m ON m.id = j.migration_id "
                       f"WHERE m.id = {migration} AND j.kind = '{kind}' AND j.state = 'succeeded'")
        return row and (self.seconds(row[0], row[1]), self.seconds(row[0], row[2]))

    # --- what people do ---

    def member_power(self, linode, what):
        page = self.member.get(f"/members/linodes/{linode.id}")
        self.member.submit(page.form(action=f"/{linode.id}/{what}"))

    def bring_up(self, linode, limit=60):
        if self.status(linode) != "running":
            self.member_power(linode, "boot")
            self.await_status(linode, "running", limit)
        await_answer(linode.address, limit=limit)

    def ask_shut_down(self, linode):
        page = self.member.get(f"/members/linodes/{linode.id}/shutdown")
        self.member.submit(page.form(button="shut down"))

    def shut_down(self, linode, limit=60):
        self.ask_shut_down(linode)
        self.await_status(linode, "offline", limit)

    def make_offer(self, linode):
        """The member registers; staff approve and configure."""
        page = self.member.get("/members/xenbeta")
        self.member.submit(page.form(button="register"), {"linode": str(linode.id)})
        registration = self.one(f"SELECT id FROM registrations WHERE linode_id = {linode.id} AND state = 'requested'")[0]
        page = self.staff.get("/staff/registrations")
        page = self.staff.submit(page.form(button="approve and configure"), {"id": str(registration)}, button="approve and configure")
        self.staff.submit(page.form(action="/staff/registrations/configure"))
        found = self.one(f"SELECT state FROM migrations WHERE linode_id = {linode.id} ORDER BY id DESC")
        assert found and found[0] == "offered", f"no offer for {linode.label}: {self.staff.page.text[:1500]}"

    def staff_sets(self, **limits):
        """Changes limits of the programme, on its page."""
        page = self.staff.get("/staff/programme")
        form = next(form for form in page.forms if any(name in limits for name, _ in form.fields))
        self.staff.submit(form, {name: str(value) for name, value in limits.items()})

    def make_graduation(self, linode):
        """The member has confirmed the beta; staff configure its move to production."""
        self.member_confirms(linode)
        assert self.offer_again(linode) == "graduation"

    def offer_again(self, linode):
        """Its registration stands: staff configure another place for it."""
        registration = self.one(f"SELECT max(id) FROM registrations WHERE linode_id = {linode.id} AND state = 'approved'")[0]
        page = self.staff.get("/staff/registrations?state=approved")
        page = self.staff.submit(page.form(button="configure"), {"id": str(registration)}, button="configure")
        self.staff.submit(page.form(action="/staff/registrations/configure"))
        found = self.one(f"SELECT state, kind FROM migrations WHERE linode_id = {linode.id} ORDER BY id DESC")
        assert found[0] == "offered", f"no offer for {linode.label}: {self.staff.page.text[:1500]}"
        return found[1]

    def member_names_checks(self, linode, checks, limit_s):
        """What is to answer after a move, as a port and a path each; else it goes home by itself."""
        url = f"/members/linodes/{linode.id}/checks"
        for port, path in checks:
            page = self.member.get(url)
            self.member.submit(page.form(button="Add the check"), {"port": port, "path": path})
        page = self.member.get(url)
        self.member.submit(page.form(action="/checks/plan"), {"then": "home", "limit": str(limit_s)})
        page = self.member.get(url)
        self.member.submit(page.form(button="Ask them now"))
        page = eventually("its host has asked", lambda: "Not asked yet" not in self.member.get(url).text and self.member.page)
        assert page.text.count("Passes") == len(checks), page.text[:1500]

    def subjects(self):
        """Of all mail that went out."""
        found = []
        for name in glob.glob(self.path("mail", "*")):
            with open(name) as file:
                found.append(str(email.message_from_file(file, policy=email.policy.default)["Subject"]))
        return found

    def member_migrates(self, linode, **choices):
        page = self.member.get(f"/members/linodes/{linode.id}/migrate")
        page = self.member.submit(page.form(button=f"Migrate {linode.label}"), choices)
        return int(re.search(r"/members/migrations/(\d+)", page.url).group(1))

    def member_schedules(self, linode, minutes):
        """The click with a time: it stops about so many minutes from now. In step it waits for that."""
        page = self.member.get(f"/members/linodes/{linode.id}/migrate")
        when = (int(time.time()) // 60 + minutes) * 60
        page = self.member.submit(page.form(button=linode.label), {"when": f"slot-{when}"})
        return int(re.search(r"/members/migrations/(\d+)", page.url).group(1))

    def member_tries(self, migration):
        """The click on *Try it there*."""
        page = self.member.get(f"/members/migrations/{migration}/try")
        self.member.submit(page.form(action="/try"))

    def trial(self, migration):
        """The last one: how it stands, what is said of it, and its console."""
        return self.one(f"SELECT state, outcome, console FROM trials WHERE migration_id = {migration} ORDER BY id DESC LIMIT 1")

    def receipt_page(self, migration):
        return self.member.get(f"/members/migrations/{migration}").body

    def newest(self, linode):
        return int(self.one(f"SELECT max(id) FROM migrations WHERE linode_id = {linode.id}")[0])

    def member_turns_back(self, linode):
        """The click on the way back; returns the number of the migration that it is."""
        first = self.newest(linode)
        page = self.member.get(f"/members/migrations/{first}/way-back")
        self.member.submit(page.form(action="/way-back"))
        return eventually("the way back begins", lambda: self.newest(linode) > first and self.newest(linode))

    def member_way_back(self, linode):
        first = self.newest(linode)
        self.member_turns_back(linode)
        self.await_migration(first, ("returned", "finished"))
        assert self.migration(first)["state"] == "returned", self.migration(self.newest(linode))
        return first

    def member_confirms(self, linode):
        migration = self.newest(linode)
        page = self.member.get(f"/members/migrations/{migration}/confirm")
        self.member.submit(page.form(action="/confirm"))
        self.await_migration(migration, ("confirmed",))
