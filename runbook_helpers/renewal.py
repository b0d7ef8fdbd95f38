"""Renewal of a token that a service calls expired, although by this machine's clock it is not.

The SDKs keep tokens until their end by this machine's clock, which may stand behind after a sleep, or in a VM that was
suspended. The service's word counts: the token is thrown away wherever it is kept, and the request repeated once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .refusals import cause_of

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
    from azure.core.pipeline.policies import HTTPPolicy

EXPIRED = "ExpiredAuthenticationToken"


class RenewableCredential:
    """A credential of azure-identity that can be made anew: that is the only way to empty what it keeps."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._credential = make()

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        token: AccessToken = self._credential.get_token(*scopes, **options)
        return token

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        token: AccessTokenInfo = self._credential.get_token_info(*scopes, options=options)
        return token

    def renew(self) -> None:
        """Forget all tokens."""
        self._credential = self._make()


def renew(credential: Any) -> bool:
    """Have a credential forget its tokens; whether it can."""
    if isinstance(credential, RenewableCredential):
        credential.renew()
        return True
    return False


def authentication(credential: Any, scope: str) -> HTTPPolicy[Any, Any]:
    """The policy that adds the token for Resource Manager; a request that is refused since it has expired gets a new one."""
    from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

    class Authentication(ARMChallengeAuthenticationPolicy):
        def on_challenge(self, request: Any, response: Any) -> bool:
            if super().on_challenge(request, response):
                return True
            cause = cause_of(response.http_response)
            if cause is None or cause.code != EXPIRED:
                return False
            renew(credential)
            self.authorize_request(request, scope)
            return True

    return Authentication(credential, scope)
