"""The keys that sensitive columns are encrypted with, themselves encrypted."""

from typing import Final

from sqlalchemy import Integer, LargeBinary, PrimaryKeyConstraint, Table, Text

from engine.platform.tables.columns import (
    metadata,
    moment,
    of_reseller,
    required,
    reseller_column,
)

data_keys: Final = Table(
    "data_keys",
    metadata,
    reseller_column(),
    required("version", Integer),
    required("sealing_key", Text),  # the name of the key in the settings that it is wrapped with
    required("wrapped", LargeBinary),
    moment("created_at"),
    PrimaryKeyConstraint("reseller_id", "version"),
    of_reseller(),
)
