"""The custodian's key pair: a run can seal what it must keep, and only the custodian can open it.

What protects what:

* The **project key** makes pseudonyms. With it alone nobody can open a crosswalk. It stays secret all the
  same: whoever has it can try every NHS number there is and see which pseudonym comes out.
* The **custodian's private key** opens the sealed crosswalks, which tell the local numbers behind a
  pseudonym. A run never sees it: it has the public half, with which it can only seal.

A sealed file is an ephemeral X25519 exchange with the public key, HKDF-SHA-256 of its secret, and
ChaCha20-Poly1305 of the content (RFC 7748, 5869, 8439), so a change of one bit is refused.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from cohorts.errors import InputError, OutputError, PrivacyError
from workflows.outputs import PRIVATE_FILE, private_folder

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

MAGIC = b"careome-sealed-1\n"
PUBLIC_BYTES = 32
# One key is used for one content, so the nonce may be the same.
NONCE = bytes(12)


def new_custodian_key(path: Path) -> Path:
    """Write a new private key with mode 0600 and, beside it, the public key (``.pub``).

    Returns
    -------
    Path
        Of the public key.

    Raises
    ------
    OutputError
        One of them is there already: what was sealed for it could not be opened any more.
    """
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    public = path.with_name(path.name + ".pub")
    key = X25519PrivateKey.generate()
    private_folder(path.parent)
    content = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    other = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    for target, text in ((path, content), (public, other)):
        try:
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        except FileExistsError as error:
            raise OutputError(
                "a key is there already",
                where=target,
                fix="keep it, or give another path; what was sealed for it opens with no other",
            ) from error
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(text)
    return public


def read_public_key(path: Path) -> X25519PublicKey:
    """The public half of a key made by :func:`new_custodian_key`.

    Raises
    ------
    PrivacyError
        It is missing or something else: a private key among them, which does not belong beside a run.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = _content(path)
    if b"PRIVATE KEY" in content:
        raise PrivacyError(
            "this is the custodian's private key",
            where=path,
            expected="the public key (.pub)",
            fix="name the .pub file in the study, and keep the private key away from the run",
        )
    try:
        key = load_pem_public_key(content)
    except ValueError:
        key = None
    if not isinstance(key, X25519PublicKey):
        raise PrivacyError(
            "not a custodian's public key", where=path, fix="make one with: careome custodian-key PATH"
        )
    return key


def read_private_key(path: Path) -> X25519PrivateKey:
    """The private half of a key made by :func:`new_custodian_key`.

    Raises
    ------
    PrivacyError
        It is missing, readable by others, or something else, such as a project key.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _content(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise PrivacyError(
            "the custodian's key can be read by others",
            where=path,
            found=f"mode {mode:04o}",
            expected="mode 0600",
            fix=f"chmod 600 {path}, and consider whether the key has leaked",
        )
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, X25519PrivateKey):
        raise PrivacyError(
            "not a custodian's private key",
            where=path,
            expected="the key made by careome custodian-key, which is not the project key",
            fix="give the custodian's own key with --key",
        )
    return key


def seal(content: bytes, public: X25519PublicKey) -> bytes:
    """Content that only the holder of the private key can read again."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    once = X25519PrivateKey.generate()
    head = MAGIC + once.public_key().public_bytes_raw()
    key = _derived(once.exchange(public), head + public.public_bytes_raw())
    return head + ChaCha20Poly1305(key).encrypt(NONCE, content, head)


def unseal(sealed: bytes, private: X25519PrivateKey, *, where: object) -> bytes:
    """What :func:`seal` was given.

    Raises
    ------
    InputError
        Not a sealed file, sealed for another key, or altered.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    head = sealed[: len(MAGIC) + PUBLIC_BYTES]
    if not sealed.startswith(MAGIC) or len(head) < len(MAGIC) + PUBLIC_BYTES:
        raise InputError("not a sealed file", where=where, fix="give the file as a run has left it")
    try:
        other = X25519PublicKey.from_public_bytes(head[len(MAGIC) :])
        key = _derived(private.exchange(other), head + private.public_key().public_bytes_raw())
        return ChaCha20Poly1305(key).decrypt(NONCE, sealed[len(head) :], head)
    except (InvalidTag, ValueError) as error:
        raise InputError(
            "cannot be opened",
            where=where,
            found="another custodian's seal, or an altered file",
            expected="a file sealed for this key",
            fix="give the private key whose public half the study named",
        ) from error


def _derived(secret: bytes, context: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=32, salt=None, info=context).derive(secret)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PrivacyError(
            "the custodian's key cannot be read",
            where=path,
            found=error.strerror,
            fix=f"make one with: careome custodian-key {path}",
        ) from error
