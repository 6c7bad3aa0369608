"""A PostgreSQL server of the tests' own, started from Debian's package and gone when they are done."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PLACES = ("/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt/postgresql", "/usr/local/opt/postgresql")


def binaries() -> Path | None:
    """Folder of the newest server's programs, which are not on the path; None where there is no server."""
    found = [p.parent for place in PLACES for p in Path(place).glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    if on_path is not None:
        found.append(Path(on_path).parent)
    return max(
        found, key=lambda p: [int(part) for part in p.parent.name.split(".") if part.isdigit()], default=None
    )


@dataclass(frozen=True)
class Server:
    """A running server."""

    folder: Path
    port: int
    user: str
    password: str

    @property
    def dsn(self) -> str:
        """By the socket, without a password."""
        return f"host={self.folder} port={self.port} dbname=postgres user={self.user}"

    @property
    def uri(self) -> str:
        """By the network, with a password."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/postgres"

    def execute(self, *statements: str) -> None:
        """Run statements as the owner of the server."""
        from adbc_driver_postgresql import dbapi

        with dbapi.connect(self.dsn, autocommit=True) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


@contextmanager
def postgres_server(programs: Path) -> Iterator[Server]:
    """Start a server on a free port and stop it afterwards; the server refuses to run as root."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user, password = "postgres", secrets.token_hex(12)
    become: list[str] = []
    if os.geteuid() == 0:
        become = ["runuser", "-u", user, "--"]
        shutil.chown(folder, user, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, secret = folder / "data", folder / "secret"
    secret.write_text(password)
    if become:
        shutil.chown(secret, user, user)

    def run(*command: object) -> None:
        done = subprocess.run(
            [*become, *map(str, command)], capture_output=True, text=True, cwd=folder, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout

    options = f"-k {folder} -p {port} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        run(programs / "initdb", "-D", data, "-U", user, "-E", "UTF8", "--locale=C.UTF-8", f"--pwfile={secret}",
            "--auth-local=trust", "--auth-host=scram-sha-256")  # fmt: skip
        run(programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield Server(folder, port, user, password)
        finally:
            run(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
