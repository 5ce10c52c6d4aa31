"""Certificates and tokens as tests need them, made with the `openssl` of this machine."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


def _openssl(*arguments: str | Path, given: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *map(str, arguments)], input=given, capture_output=True, check=False)
    assert not done.returncode, done.stderr.decode()
    return done.stdout


@dataclass(frozen=True)
class Authority:
    """A certificate authority that keeps everything it made in one folder, as PEM files."""

    folder: Path

    @classmethod
    def new(cls, folder: Path) -> Authority:
        """Makes the folder, and its own certificate `ca.pem`."""
        folder.mkdir()
        made = cls(folder)
        made._key("ca")
        usage = ("-subj", f"/CN={folder.name}", "-days", "2", "-addext", "basicConstraints=critical,CA:TRUE")
        _openssl("req", "-x509", "-new", "-key", made.key("ca"), *usage, "-out", made.ca)
        return made

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def sign(self, name: str, host: str | None = None, days: int = 2) -> Path:
        """A key and a certificate of that name, for a host if one is given; returns the certificate's file."""
        self._key(name)
        asked, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName=DNS:{host}\n" if host else "basicConstraints=CA:FALSE\n")
        _openssl("req", "-new", "-key", self.key(name), "-subj", f"/CN={name}", "-out", asked)
        by = ("-CA", self.ca, "-CAkey", self.key("ca"), "-CAcreateserial", "-extfile", extensions)
        _openssl("x509", "-req", "-in", asked, *by, "-days", str(days), "-out", self.certificate(name))
        return self.certificate(name)

    def both(self, name: str) -> Path:
        """One file with key and certificate, as Kafka wants a PEM store."""
        file = self.folder / f"{name}.both.pem"
        file.write_bytes(self.key(name).read_bytes() + self.certificate(name).read_bytes())
        return file

    def _key(self, name: str) -> None:
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.key(name))


@dataclass(frozen=True)
class Issuer:
    """Who gives tokens: a key, and `keys.json` by which a broker checks what it signed."""

    folder: Path

    @classmethod
    def new(cls, folder: Path) -> Issuer:
        folder.mkdir()
        made = cls(folder)
        _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", made._key)
        modulus = _openssl("rsa", "-in", made._key, "-noout", "-modulus").decode().strip().partition("=")[2]
        key = {"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig", "n": _url(bytes.fromhex(modulus)), "e": "AQAB"}
        made.keys.write_text(json.dumps({"keys": [key]}))
        return made

    @property
    def keys(self) -> Path:
        return self.folder / "keys.json"

    @property
    def _key(self) -> Path:
        return self.folder / "key.pem"

    def token(self, subject: str, life: float = 600.0) -> str:
        """A signed token for a subject, good for so many seconds."""
        now = int(time.time())
        claims = {"sub": subject, "iss": "tests", "aud": "kafka", "iat": now - 1, "exp": int(now + life)}
        text = f"{_url_json({'alg': 'RS256', 'kid': 'one'})}.{_url_json(claims)}"
        return f"{text}.{_url(_openssl('dgst', '-sha256', '-sign', self._key, given=text.encode()))}"


def _url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _url_json(value: object) -> str:
    return _url(json.dumps(value).encode())
