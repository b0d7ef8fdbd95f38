"""Signed tokens: what Entra ID and the registries of the sandbox issue, and how each checks what it is given."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

LEEWAY = 300  # seconds by which two clocks may differ
CANARY = "5a17c0de"
"""How the id of every token begins: who looks whether a sandbox's tokens have leaked looks for it."""


class TokenError(Exception):
    """Why a token is refused; `reason` is one of the class's constants."""

    INVALID = "invalid"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    AUDIENCE = "audience"
    ISSUER = "issuer"

    def __init__(self, reason: str, message: str, moment: float = 0.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.moment = moment
        """When the token expired."""


def new_key() -> str:
    """A new RSA key for signing, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def token_id() -> str:
    """A new id of a token, as hexadecimal digits."""
    return CANARY + uuid.uuid4().hex[len(CANARY) :]


class Signer:
    """Signs tokens with RS256 and checks those that it signed."""

    def __init__(self, key: str, issued: Path | None = None) -> None:
        """With a file for what is `issued`, each token is kept there too, for tests that look for them elsewhere."""
        self._issued = issued
        # It is our own, so that it is not tried whether its primes are: this takes longer than all else of a start.
        private = serialization.load_pem_private_key(key.encode(), None, unsafe_skip_rsa_key_validation=True)
        assert isinstance(private, rsa.RSAPrivateKey)
        self._private = private
        self._public = private.public_key()
        der = self._public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.key_id = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()[:27]

    def key_set(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set."""
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._public))
        return {"keys": [{**key, "use": "sig", "kid": self.key_id, "x5t": self.key_id, "alg": "RS256"}]}

    def sign(self, claims: dict[str, Any]) -> str:
        headers = {"kid": self.key_id, "x5t": self.key_id}
        token = jwt.encode(claims, self._private, algorithm="RS256", headers=headers)
        if self._issued:
            with open(self._issued, "a", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(token + "\n")
        return token

    def verify(self, token: str, *, now: float, issuer: str, audiences: set[str]) -> dict[str, Any]:
        """The claims of a token that this key signed for one of these audiences and that is valid now."""
        try:
            # The times are checked below, against the sandbox's clock and not the machine's.
            claims: dict[str, Any] = jwt.decode(
                token,
                self._public,
                algorithms=["RS256"],
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                    "verify_iss": False,
                    "require": ["exp", "nbf", "iss", "aud"],
                },
            )
        except jwt.InvalidTokenError as error:
            raise TokenError(TokenError.INVALID, str(error)) from error
        if not all(isinstance(claims[name], (int, float)) for name in ("exp", "nbf")):
            raise TokenError(TokenError.INVALID, "exp and nbf must be numbers")
        if not all(isinstance(claims[name], str) for name in ("iss", "aud")):
            raise TokenError(TokenError.INVALID, "iss and aud must be strings")
        if claims["exp"] + LEEWAY <= now:
            raise TokenError(TokenError.EXPIRED, f"expired at {claims['exp']}", claims["exp"])
        if claims["nbf"] - LEEWAY > now:
            raise TokenError(TokenError.NOT_YET_VALID, f"not valid before {claims['nbf']}")
        if claims["iss"] != issuer:
            raise TokenError(TokenError.ISSUER, str(claims["iss"]))
        if claims["aud"] not in audiences:
            raise TokenError(TokenError.AUDIENCE, str(claims["aud"]))
        return claims
