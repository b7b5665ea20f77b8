"""The contract: the OpenAPI 3.1 document of every route, made of what routes say of themselves."""

from api.contract.assembling import assemble, notices_of
from api.contract.serving import openapi_config

__all__ = ["assemble", "notices_of", "openapi_config"]
