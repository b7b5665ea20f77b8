"""What is known of the people who tickets are for, at one reseller."""

from typing import Final

from sqlalchemy import Index, LargeBinary, PrimaryKeyConstraint, Table

from engine.platform.tables.columns import (
    metadata,
    moment,
    of_reseller,
    optional,
    required,
    reseller_column,
)

buyers: Final = Table(
    "buyers",
    metadata,
    reseller_column(),
    required("buyer_digest", LargeBinary),  # of the reference that orders name them by
    required("buyer_sealed", LargeBinary),  # the reference
    optional("name_sealed", LargeBinary),
    optional("email_sealed", LargeBinary),
    optional("email_digest", LargeBinary),
    optional("phone_sealed", LargeBinary),
    moment("created_at"),
    moment("changed_at"),
    PrimaryKeyConstraint("reseller_id", "buyer_digest"),
    of_reseller(),
    Index(None, "reseller_id", "email_digest"),
)

# Who is to be forgotten, until the last of their shows is over.
buyer_erasures: Final = Table(
    "buyer_erasures",
    metadata,
    reseller_column(),
    required("buyer_digest", LargeBinary),
    required("buyer_sealed", LargeBinary),
    moment("asked_at"),
    PrimaryKeyConstraint("reseller_id", "buyer_digest"),
    of_reseller(),
)
