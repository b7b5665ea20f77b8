"""The embedded servers and their supervision."""

import asyncpg
import redis

from ops.stack import Stack


def test_the_servers_answer_on_unix_sockets_only(servers: Stack) -> None:
    """Valkey and PostgreSQL serve, durable, and have no TCP port."""
    client = redis.Redis.from_url(servers.settings.redis_url)
    assert client.config_get("appendfsync") == {"appendfsync": "always"}
    assert client.config_get("port") == {"port": "0"}


async def test_x(servers: Stack) -> None:
    c = await asyncpg.connect(servers.settings.app_database_url)
    print(await c.fetchval("select current_user"))
    await c.close()
