"""The image contract, line by line, for any site.

A site's test module says what is its own (`SiteChecks`) and inherits these checks.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import threading
import time
import uuid
from typing import Any, ClassVar

import docker
import requests

from .conftest import Browser, Environment, Start, archive, members_of, wait_until

SLEEPER = "<?php usleep((int) ($_GET['ms'] * 1000)); echo 'done';"
# A file and, a while later, its row: what a site does with an uploaded picture.
PAIRS = """<?php
file_put_contents("%(folder)s/e5b-{$_GET['n']}.txt", $_GET['n']);
usleep(20000);
(new mysqli('localhost', 'www-data', '', '%(database)s'))->query('INSERT INTO e5b_pairs VALUES (' . $_GET['n'] . ')');
echo 'done';
"""
OTHER_URL = "http://poste-12.e5b.lan:8012"


def parts(fingerprint: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fingerprint.items() if key != "digest"}


def differing(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """Names of the tables and paths of the files in which two fingerprints differ."""
    return {
        name
        for part in ("files", "tables")
        for name in before[part].keys() | after[part].keys()
        if before[part].get(name) != after[part].get(name)
    }


class Timed(threading.Thread):
    """A request made in the background: what it answered, and when."""

    def __init__(self, browser: Browser, path: str) -> None:
        super().__init__(daemon=True)
        self.browser, self.path = browser, path
        self.begun = time.monotonic()
        self.seconds: float | None = None
        self.status: int | None = None
        self.start()

    def run(self) -> None:
        self.status = self.browser.get(self.path).status_code
        self.seconds = time.monotonic() - self.begun


class SiteChecks:
    """What a site's tests give to the checks."""

    site: ClassVar[str]
    document_root: ClassVar[str] = "/var/www/site"
    # A PHP file that the site uses.
    code: ClassVar[str]
    # Change -> SQL that makes it -> table in which it must be seen.
    changes: ClassVar[dict[str, tuple[str, str]]]
    # Paths that a visitor opens.
    pages: ClassVar[list[str]]
    # A table of the site that its pages do without.
    spare_table: ClassVar[str]

    def log_in(self, browser: Browser, login: str, password: str) -> None:
        raise NotImplementedError

    def log_out(self, browser: Browser) -> None:
        raise NotImplementedError

    def save_page(self, browser: Browser, title: str) -> str:
        """Publishes something through the administration; returns the path where a visitor reads its title."""
        raise NotImplementedError

    def send_mail(self, browser: Browser) -> str:
        """Makes the site send an e-mail; returns what its subject holds."""
        raise NotImplementedError

    def candidate(self, environment: Environment) -> Browser:
        described = json.loads(environment.tool("describe").output)
        browser = environment.browser()
        self.log_in(browser, described["login"], described["password"])
        return browser


class ContractChecks(SiteChecks):
    # --- labels, address, readiness ---

    def test_labels_name_the_contract_and_the_site(self, engine: docker.DockerClient, image: str) -> None:
        labels = engine.images.get(image).labels
        assert labels["fr.e5b.contract"] == "1"
        assert labels["fr.e5b.streams"] == "1"
        assert labels["fr.e5b.site"] == self.site

    def test_describe_says_what_the_controller_shows(self, visited: Environment) -> None:
        described = json.loads(visited.tool("describe").output)
        assert described["site"] == self.site
        assert described["mailbox"] == "/messagerie/"
        assert {"version", "language", "admin", "login", "password"} <= described.keys()
        assert visited.browser().get(described["admin"]).status_code == 200

    def test_describe_says_where_the_log_in_form_is_posted_to(self, visited: Environment) -> None:
        """And nothing else has to be posted, so that a jury can log in to a site that is otherwise only read."""
        described = json.loads(visited.tool("describe").output)
        browser = visited.browser()
        posted = []
        browser.hooks["response"].append(
            lambda answer, *_args, **_kwargs: posted.append(answer.request.path_url) if is_post(answer) else None
        )
        self.log_in(browser, described["login"], described["password"])
        assert [path.split("?")[0] for path in posted] == [described["sign_in"]]

    # --- health ---

    def health(self, environment: Environment) -> tuple[int, str]:
        """Asked as the controller does: at the container's address, of no site's name."""
        answer = requests.get(f"http://{environment.address}/e5b-health", timeout=5, allow_redirects=False)
        return answer.status_code, answer.text.strip()

    def test_health_answers_even_while_the_site_is_held(self, environment: Environment) -> None:
        before = environment.fingerprint()
        assert self.health(environment) == (200, "ok")
        environment.tool("quiesce")
        assert self.health(environment) == (200, "ok")
        environment.tool("thaw")
        assert environment.fingerprint() == before
        assert environment.changed().count(b"/e5b/mail") == 0

    def test_health_says_that_the_database_does_not_answer(self, environment: Environment) -> None:
        silent = (503, "the database does not answer")
        environment.shell("kill -STOP $(pidof mariadbd)")
        begun = time.monotonic()
        assert self.health(environment) == silent
        assert time.monotonic() - begun < 4
        environment.shell("kill -CONT $(pidof mariadbd)")
        assert self.health(environment) == (200, "ok")
        environment.shell("echo d >/run/e5b/mariadb/control; sleep 1.5")
        assert self.health(environment) == silent

    # --- address ---

    def test_links_name_the_seat_and_nothing_else(self, visited: Environment) -> None:
        for path in self.pages:
            answer = visited.browser().get(path)
            assert answer.status_code == 200, path
            assert "http://localhost" not in answer.text, path
            assert answer.headers.get("Connection") == "close"
        assert f"{visited.url}/" in visited.browser().get("/").text

    def test_every_picture_script_and_style_of_the_home_page_is_there(self, visited: Environment) -> None:
        import re

        browser = visited.browser()
        home = browser.get("/").text
        for found in set(
            re.findall(r"""(?:src|href)=["']([^"'#]+\.(?:css|js|png|jpe?g|webp|svg)(?:\?[^"']*)?)["']""", home)
        ):
            assert found.startswith(("/", visited.url)), f"{found} is elsewhere"
            assert browser.get(found).status_code == 200, found

    def test_set_url_changes_links_at_run_time(self, environment: Environment) -> None:
        environment.tool("set-url", "http://192.0.2.10:8007")
        environment.ready(10)
        home = environment.browser("http://192.0.2.10:8007").get("/")
        assert home.status_code == 200
        assert "http://192.0.2.10:8007/" in home.text
        assert "poste-07" not in home.text

    def test_set_url_refuses_what_is_no_address(self, visited: Environment) -> None:
        for wrong in ("poste-07", "http://poste-07/page", "ftp://poste-07", "http://a b", ""):
            refusal = visited.tool("set-url", wrong, check=False)
            assert refusal.status != 0
            assert len(refusal.errors.strip().splitlines()) == 1
        assert visited.browser().get("/").status_code == 200

    def test_without_an_address_the_site_is_at_localhost(self, start: Start) -> None:
        environment = start(url=None).ready()
        assert "http://localhost/" in environment.browser("http://localhost").get("/").text

    def test_ready_says_what_is_missing(self, environment: Environment) -> None:
        environment.shell("echo d >/run/e5b/mariadb/control; sleep 1.5")
        refusal = environment.tool("ready", "--timeout", "1", check=False)
        assert refusal.status == 1
        assert "database" in refusal.errors

    def test_start_runs_one_executable_for_who_is_attached(self, image: str) -> None:
        name = f"site-image-test-{uuid.uuid4().hex[:10]}"

        def begun(*command: str, asked: bytes) -> bytes:
            """What comes on standard output, up to the line that begins with the mark."""
            with subprocess.Popen(
                ["docker", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as process:
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write(asked)
                process.stdin.close()
                said = b""
                while (line := process.stdout.readline()) and not line.startswith(b"mark "):
                    said += line
                process.kill()
                return said + line

        run = ("run", "-i", "--name", name, "--tmpfs", "/run", "--network", "none", image)
        try:
            refusal = begun(*run, asked=b"mark fingerprint --when-ready 60\nno/path\0")
            assert refusal == b"\nfingerprint: a path that is not absolute was given: no/path\n\nmark 1\n"
            # With nobody attached it serves like any other.
            subprocess.run(["docker", "restart", name], check=True, capture_output=True)
            subprocess.run(["docker", "exec", name, "/opt/e5b/bin/ready"], check=True)
            subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)
            said, mark = begun(*run, asked=b"mark describe\n").split(b"\n\n")
            assert json.loads(said)["site"] and mark == b"mark 0\n"
        finally:
            subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True)

    # --- fingerprint ---

    def test_a_fresh_environment_differs_in_nothing_and_both_ways_agree(self, environment: Environment) -> None:
        incremental = environment.fingerprint()
        assert incremental["files"] == {}
        assert incremental["contract"] == 1
        assert incremental == environment.full_fingerprint()

    def test_two_environments_of_an_image_have_one_fingerprint(self, start: Start) -> None:
        one, other = start().ready(), start(url="http://192.0.2.10:8007").ready()
        assert one.fingerprint() == other.fingerprint()

    def test_the_digest_is_that_of_the_other_keys(self, visited: Environment) -> None:
        fingerprint = visited.fingerprint()
        text = json.dumps(parts(fingerprint), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert fingerprint["digest"] == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        manifest = visited.run("cat", "/opt/e5b/reference/manifest").output
        assert fingerprint["manifest"] == "sha256:" + hashlib.sha256(manifest).hexdigest()

    def test_the_manifest_lists_the_whole_system_in_order(self, visited: Environment) -> None:
        lines = visited.run("cat", "/opt/e5b/reference/manifest").output.splitlines()
        paths = [line.split(b"\t", 1)[1] for line in lines]
        assert paths == sorted(paths)
        assert {self.code.encode(), b"/usr/sbin/apache2", b"/opt/e5b/bin/start", b"/opt/e5b/volatile.json"} <= set(
            paths
        )
        assert not [path for path in paths if path.startswith((b"/run/", b"/proc/", b"/var/lib/mysql/"))]

    def test_serving_pages_logging_in_and_restarting_change_nothing(self, environment: Environment) -> None:
        before = environment.fingerprint()
        for _ in range(2):
            for path in self.pages:
                assert environment.browser().get(path).status_code == 200
        assert differing(before, environment.fingerprint()) == set()
        browser = self.candidate(environment)
        assert differing(before, environment.fingerprint()) == set()
        self.log_out(browser)
        assert differing(before, environment.fingerprint()) == set()
        environment.container.restart(timeout=10)
        environment.ready()
        assert differing(before, environment.fingerprint()) == set()
        environment.tool("set-url", "http://192.0.2.10:8007")
        environment.ready()
        after = environment.fingerprint()
        assert after == before
        assert after == environment.full_fingerprint()

    def test_each_change_is_seen_where_it_is(self, environment: Environment) -> None:
        before = environment.fingerprint()
        for change, (statement, table) in self.changes.items():
            environment.sql(statement)
            after = environment.fingerprint()
            assert differing(before, after) == {table}, change
            before = after

        root = self.document_root
        for change, script, paths in (
            ("an altered PHP file", f"echo '// x' >>{self.code}", {self.code}),
            ("a file's mode", f"chmod 0600 {self.code}", {self.code}),
            ("an added file", f"echo x >{root}/e5b-added.txt", {f"{root}/e5b-added.txt"}),
            (
                "an added directory",
                f"mkdir {root}/e5b-dir && echo x >{root}/e5b-dir/f",
                {f"{root}/e5b-dir", f"{root}/e5b-dir/f"},
            ),
            ("a link", f"ln -s /etc/passwd {root}/e5b-link", {f"{root}/e5b-link"}),
            ("a system's file", "echo x >>/etc/php.e5b", {"/etc/php.e5b"}),
        ):
            environment.shell(script)
            after = environment.fingerprint()
            assert differing(before, after) == paths, change
            before = after
        assert before == environment.full_fingerprint()

    def test_tables_that_come_go_or_change_form_are_seen(self, environment: Environment) -> None:
        before = environment.fingerprint()
        environment.sql("CREATE TABLE e5b_new (n INT)")
        assert differing(before, environment.fingerprint()) == {"e5b_new"}
        environment.sql("INSERT INTO e5b_new VALUES (1), (1)")
        twice = environment.fingerprint()["tables"]["e5b_new"]
        environment.sql("DELETE FROM e5b_new")
        assert twice.startswith("2:")
        assert environment.fingerprint()["tables"]["e5b_new"][2:] != twice[2:]
        environment.sql("INSERT INTO e5b_new VALUES (NULL)")
        null = environment.fingerprint()["tables"]["e5b_new"]
        environment.sql("ALTER TABLE e5b_new MODIFY n VARCHAR(9); UPDATE e5b_new SET n = ''")
        assert environment.fingerprint()["tables"]["e5b_new"] != null
        environment.sql("DROP TABLE e5b_new")
        assert environment.fingerprint() == before
        environment.sql(f"ALTER TABLE {self.spare_table} ADD e5b INT")
        assert differing(before, environment.fingerprint()) == {self.spare_table}
        environment.sql(f"ALTER TABLE {self.spare_table} DROP e5b")
        assert environment.fingerprint() == before
        environment.sql(f"DROP TABLE {self.spare_table}")
        assert differing(before, environment.fingerprint()) == {self.spare_table}

    def test_a_directory_removed_or_made_again_is_seen_to_its_last_file(self, environment: Environment) -> None:
        folder = self.code.rsplit("/", 1)[0]
        environment.shell(f"rm -r {folder}; mkdir {folder}; echo x >{folder}/alone; rm -r /usr/share/zoneinfo/Europe")
        fingerprint = environment.fingerprint()
        assert fingerprint["files"][self.code] == "deleted"
        assert fingerprint["files"]["/usr/share/zoneinfo/Europe/Paris"] == "deleted"
        assert fingerprint == environment.full_fingerprint()

    # --- quiesce ---

    def sleeper(self, environment: Environment) -> str:
        path = f"{self.document_root}/e5b-sleeper.php"
        environment.shell(f"""cat >{path} <<'PHP'\n{SLEEPER}\nPHP""")
        return "/e5b-sleeper.php"

    def test_quiesce_waits_for_requests_and_holds_new_ones_until_thaw(self, environment: Environment) -> None:
        sleeper = self.sleeper(environment)
        running = Timed(environment.browser(), f"{sleeper}?ms=1500")
        time.sleep(0.4)
        begun = time.monotonic()
        environment.tool("quiesce")
        assert time.monotonic() - begun > 0.7, "it did not wait for the request that was running"
        running.join(5)
        assert running.status == 200
        held = Timed(environment.browser(), f"{sleeper}?ms=0")
        dirty = "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'"
        assert environment.sql(dirty).split()[-1] == "0"
        time.sleep(1)
        assert held.status is None, "a request was executed while the site was held"
        environment.tool("thaw")
        held.join(5)
        assert held.status == 200
        environment.tool("thaw")

    def test_quiesce_is_not_starved_by_a_steady_stream(self, environment: Environment) -> None:
        sleeper = self.sleeper(environment)
        over = threading.Event()

        def stream() -> None:
            browser = environment.browser()
            while not over.is_set():
                browser.get(f"{sleeper}?ms=150")

        threads = [threading.Thread(target=stream, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        try:
            environment.tool("quiesce", "--timeout", "3")
            environment.tool("thaw")
        finally:
            over.set()
            for thread in threads:
                thread.join(5)

    def test_a_hold_ends_by_itself(self, environment: Environment) -> None:
        sleeper = self.sleeper(environment)
        environment.tool("quiesce", "--hold", "2")
        held = Timed(environment.browser(), f"{sleeper}?ms=0")
        held.join(6)
        assert held.status == 200
        assert held.seconds is not None and held.seconds > 1

    def test_a_quiesce_that_times_out_holds_nothing(self, environment: Environment) -> None:
        sleeper = self.sleeper(environment)
        running = Timed(environment.browser(), f"{sleeper}?ms=3000")
        time.sleep(0.4)
        refusal = environment.tool("quiesce", "--timeout", "0.5", check=False)
        assert refusal.status != 0
        assert "requests are still being executed" in refusal.errors
        assert environment.browser().get(f"{sleeper}?ms=0", timeout=2).status_code == 200
        running.join(6)

    def test_a_second_quiesce_takes_over_from_the_first(self, environment: Environment) -> None:
        environment.tool("quiesce")
        environment.tool("quiesce", "--hold", "20")
        environment.tool("thaw")
        assert environment.browser().get("/", timeout=5).status_code == 200

    def test_a_commit_of_a_quiesced_site_is_the_site(
        self, environment: Environment, start: Start, engine: docker.DockerClient
    ) -> None:
        path = self.save_page(self.candidate(environment), "Avant le point de restauration")
        environment.tool("quiesce")
        before = environment.fingerprint()
        snapshot = environment.container.commit(repository="site-image-test", tag=environment.container.name)
        environment.tool("thaw")
        restored = start(of=snapshot.id)
        try:
            restored.ready()
            assert "Avant le point de restauration" in restored.browser().get(path).text
            assert restored.full_fingerprint() == before
        finally:
            restored.container.remove(force=True)
            engine.images.remove(snapshot.id, force=True)

    def test_a_quick_hold_waits_for_requests_and_ends_by_itself(self, environment: Environment) -> None:
        sleeper = self.sleeper(environment)
        running = Timed(environment.browser(), f"{sleeper}?ms=1000")
        time.sleep(0.4)
        environment.tool("quiesce", "--quick", "--hold", "1.5")
        running.join(0.3)
        assert running.status == 200
        held = Timed(environment.browser(), f"{sleeper}?ms=0")
        time.sleep(0.5)
        assert held.status is None, "a request was executed while the site was held"
        held.join(6)
        assert held.status == 200
        environment.tool("quiesce", "--quick", "--hold=60")
        environment.tool("thaw")
        assert environment.browser().get(f"{sleeper}?ms=0", timeout=5).status_code == 200

    def test_a_quick_hold_that_times_out_holds_nothing(self, environment: Environment) -> None:
        sleeper = self.sleeper(environment)
        running = Timed(environment.browser(), f"{sleeper}?ms=3000")
        time.sleep(0.4)
        refusal = environment.tool("quiesce", "--quick", "--timeout", "0.5", check=False)
        assert refusal.status != 0
        assert "requests are still being executed" in refusal.errors
        assert environment.browser().get(f"{sleeper}?ms=0", timeout=2).status_code == 200
        running.join(6)

    def test_quiesce_refuses_what_is_no_number_of_seconds(self, visited: Environment) -> None:
        for wrong in (["--hold", "x"], ["--hold"], ["--timeout="], ["--hold", "1.2.3"], ["--hold", "-1"], ["--other"]):
            refusal = visited.tool("quiesce", *wrong, check=False)
            assert refusal.status != 0, wrong
            assert len(refusal.errors.strip().splitlines()) == 1, wrong
        assert visited.browser().get("/", timeout=5).status_code == 200

    def test_a_point_taken_in_a_freeze_is_the_site_of_that_moment_at_any_address(
        self, environment: Environment, start: Start, engine: docker.DockerClient
    ) -> None:
        """What runs is finished first, what comes waits and is answered; the copy has each file with its row."""
        path = self.save_page(self.candidate(environment), "Avant le point de restauration")
        database = environment.run("cat", "/opt/e5b/site/database").output.decode().strip()
        environment.sql("CREATE TABLE e5b_pairs (n INT PRIMARY KEY)")
        script = PAIRS % {"folder": self.upload_folder, "database": database}
        environment.shell(f"cat >{self.document_root}/e5b-pairs.php <<'PHP'\n{script}\nPHP")
        numbers, over = itertools.count(1), threading.Event()
        answered: list[int] = []
        refused: list[int] = []

        def visit() -> None:
            browser = environment.browser()
            while not over.is_set():
                number = next(numbers)
                good = browser.get(f"/e5b-pairs.php?n={number}").status_code == 200
                (answered if good else refused).append(number)

        visitors = [threading.Thread(target=visit, daemon=True) for _ in range(3)]
        for visitor in visitors:
            visitor.start()
        wait_until(lambda: len(answered) > 20, 30, "requests are answered")
        environment.tool("quiesce", "--quick", "--timeout", "5", "--hold", "2")
        environment.container.pause()
        before = set(answered)
        held = Timed(environment.browser(), "/")
        point = environment.container.commit(repository="site-image-test", tag=environment.container.name, pause=False)
        try:
            assert held.status is None
            environment.container.unpause()
            held.join(20)
            wait_until(lambda: len(answered) > len(before) + 20, 30, "requests are answered again")
            over.set()
            for visitor in visitors:
                visitor.join(20)
            assert held.status == 200
            assert not refused

            for url in (environment.url, OTHER_URL):
                restored = start(url=url, point=str(point.id)).ready()
                rows = {int(row) for row in restored.sql("SELECT n FROM e5b_pairs").split()}
                files = restored.shell(
                    f"cd {self.upload_folder}; for f in e5b-*.txt; do echo $f:$(cat $f); done"
                ).split()
                assert {f"e5b-{row}.txt:{row}" for row in rows} == set(files)
                assert before <= rows < set(answered)
                check = ("mariadb-check", "--defaults-file=/opt/e5b/etc/client.cnf", "--silent", "--databases")
                assert restored.run(*check, database, "mysql").output == b""
                for page in (*self.pages, path):
                    answer = restored.browser().get(page)
                    assert answer.status_code == 200, page
                    assert url == environment.url or "poste-07" not in answer.text, page
                assert "Avant le point de restauration" in restored.browser().get(path).text
                assert restored.fingerprint() == restored.full_fingerprint()
                self.save_page(self.candidate(restored), "Après la restauration")
                restored.container.stop(timeout=20)
                assert "mariadbd: Shutdown complete" in restored.container.logs().decode()
                restored.container.start()
                restored.ready()
                assert "Avant le point de restauration" in restored.browser().get(path).text
                restored.container.remove(force=True)
        finally:
            over.set()
            engine.images.remove(point.id, force=True)

    # --- export and fixtures ---

    def test_an_export_makes_the_same_site_of_a_fresh_environment(self, environment: Environment, start: Start) -> None:
        root = self.document_root
        self.save_page(self.candidate(environment), "Une page à exporter")
        for statement, _ in self.changes.values():
            environment.sql(statement)
        environment.sql(
            "CREATE TABLE e5b_new (n INT, t VARCHAR(20)) DEFAULT CHARSET=utf8mb4;INSERT INTO e5b_new VALUES (1, 'é€😀')"
        )
        environment.sql(f"DROP TABLE {self.spare_table}")
        environment.shell(
            f"echo '// x' >>{self.code}; mkdir -p '{root}/dossier é'; echo x >'{root}/dossier é/fichier.txt';"
            f"chown -R www-data:www-data '{root}/dossier é'; ln -s /nowhere {root}/e5b-link;"
            "rm -r /usr/share/zoneinfo/Asia"
        )
        before = environment.fingerprint()
        exported = environment.export()
        names = members_of(exported).keys()
        assert {"database.sql", "deleted", f"files{self.code}", f"files{root}/dossier é/fichier.txt"} <= names
        assert not [name for name in names if "var/lib/mysql" in name or "sessions" in name]

        other = start().ready()
        other.tool("load-fixtures", stdin=exported)
        assert differing(before, other.fingerprint()) == set()
        assert other.full_fingerprint() == before
        assert other.browser().get("/").status_code == 200

    def test_fixtures_are_applied_in_order(self, environment: Environment) -> None:
        root = self.document_root
        environment.shell(f"echo old >{root}/e5b-gone.txt")
        environment.tool(
            "load-fixtures",
            stdin=archive(
                {
                    "php/10-first.php": f"<?php file_put_contents('{self.upload_folder}/e5b-order.txt', "
                    "file_get_contents('/var/www/site/e5b-new.txt') . get_current_user());".encode(),
                    "sql/20-second.sql": b"INSERT INTO e5b_order VALUES (2);",
                    "sql/10-first.sql": b"CREATE TABLE e5b_order (n INT);",
                    f"files{root}/e5b-new.txt": b"new",
                    "deleted": f"{root}/e5b-gone.txt\n".encode(),
                }
            ),
        )
        assert environment.sql("SELECT n FROM e5b_order") == "2"
        assert environment.shell(f"ls {root}/e5b-gone.txt 2>&1 || true").endswith("No such file or directory\n")
        assert environment.shell(f"cat {self.upload_folder}/e5b-order.txt").startswith("new")
        assert environment.shell(f"stat -c %U {self.upload_folder}/e5b-order.txt") == "www-data\n"

    upload_folder: ClassVar[str]

    def test_fixtures_that_leave_the_archive_are_refused_before_anything_is_applied(self, visited: Environment) -> None:
        before = visited.fingerprint()
        for wrong in ("/etc/e5b", "files/../../etc/e5b", "../e5b", "other.txt", "sql/deeper/x.sql", "php/x.sh"):
            refusal = visited.tool(
                "load-fixtures",
                stdin=archive({"sql/10.sql": b"CREATE TABLE e5b_refused (n INT);", wrong: b"x"}),
                check=False,
            )
            assert refusal.status != 0, wrong
            assert "refused" in refusal.errors
            assert len(refusal.errors.strip().splitlines()) == 1
        assert visited.fingerprint() == before

    def test_fixtures_that_fail_say_so(self, environment: Environment) -> None:
        for name, content in (
            ("sql/10.sql", b"SELECT nothing FROM nowhere;"),
            ("php/10.php", b"<?php throw new Exception('no');"),
        ):
            refusal = environment.tool("load-fixtures", stdin=archive({name: content}), check=False)
            assert refusal.status != 0
            assert refusal.errors.strip()
        assert environment.shell("ls /var/lib/e5b") == "mail\n"

    # --- what survives, what stops ---

    def test_processes_that_are_killed_come_back(self, environment: Environment) -> None:
        for name in ("mariadbd", "apache2"):
            before = environment.shell(f"pidof {name}").split()
            environment.shell(f"kill -9 {' '.join(before)}")
            wait_until(
                lambda name=name, before=before: not set(before) & set(environment.shell(f"pidof {name}").split()),
                10,
                name,
            )
            environment.ready(15)
        assert environment.browser().get("/").status_code == 200

    def test_what_was_saved_survives_the_kill_of_everything(self, environment: Environment) -> None:
        path = self.save_page(self.candidate(environment), "Enregistrée avant la coupure")
        environment.container.kill()
        environment.container.start()
        environment.ready()
        assert "Enregistrée avant la coupure" in environment.browser().get(path).text

    def test_it_stops_cleanly_within_ten_seconds(self, environment: Environment) -> None:
        sleeper = self.sleeper(environment)
        running = Timed(environment.browser(), f"{sleeper}?ms=1000")
        time.sleep(0.3)
        begun = time.monotonic()
        environment.container.stop(timeout=20)
        assert time.monotonic() - begun < 10
        running.join(5)
        assert running.status == 200, "a request that was being executed was cut"
        environment.container.reload()
        assert environment.container.attrs["State"]["ExitCode"] == 0
        assert "mariadbd: Shutdown complete" in environment.container.logs().decode()

    def test_it_stops_cleanly_while_it_is_held(self, environment: Environment) -> None:
        environment.tool("quiesce")
        begun = time.monotonic()
        environment.container.stop(timeout=20)
        assert time.monotonic() - begun < 10
        assert "mariadbd: Shutdown complete" in environment.container.logs().decode()

    # --- no way out ---

    def test_nothing_is_asked_of_the_network(self, environment: Environment) -> None:
        def outgoing() -> tuple[int, int]:
            lines = environment.shell("grep -E '^(Tcp|Udp):' /proc/net/snmp").splitlines()
            tcp = dict(zip(lines[0].split(), lines[1].split(), strict=True))
            udp = dict(zip(lines[2].split(), lines[3].split(), strict=True))
            return int(tcp["ActiveOpens"]), int(udp["OutDatagrams"])

        before = outgoing()
        browser = self.candidate(environment)
        for path in self.pages:
            begun = time.monotonic()
            assert browser.get(path).status_code == 200
            assert time.monotonic() - begun < 5
        self.save_page(browser, "Sans réseau")
        self.send_mail(environment.browser())
        assert outgoing() == before

    def test_mail_is_kept_and_shown_and_never_sent(self, environment: Environment) -> None:
        assert "Aucun message" in environment.browser().get("/messagerie/").text
        before = environment.fingerprint()["files"]
        subject = self.send_mail(environment.browser())
        box = environment.browser().get("/messagerie/")
        assert box.status_code == 200
        assert subject in box.text
        link = box.text.split('href="?message=')[1].split('"')[0]
        assert subject in environment.browser().get(f"/messagerie/?message={link}").text
        assert environment.fingerprint()["files"] == before

    def test_the_mailbox_gives_nothing_else_than_messages(self, visited: Environment) -> None:
        for wrong in ("../../../../etc/passwd", "/etc/passwd", ".."):
            assert "root:" not in visited.browser().get("/messagerie/", params={"message": wrong}).text

    def test_gate_cannot_be_taken_away(self, environment: Environment) -> None:
        environment.shell(f"echo 'php_value auto_prepend_file none' >>{self.document_root}/.htaccess")
        sleeper = self.sleeper(environment)
        environment.tool("quiesce", "--hold", "3")
        held = Timed(environment.browser(), f"{sleeper}?ms=0")
        time.sleep(1)
        assert held.status in (None, 500)
        environment.tool("thaw")


def is_post(answer: requests.Response) -> bool:
    return answer.request.method == "POST"


def refused(answer: requests.Response) -> bool:
    return answer.status_code in (401, 403, 404)
