"""Events, and a claim for every join code, so that none leads to two places.

The codes of polls that there are already are copied. What Django cannot write is added by hand: an
event's current poll is one of its own, and its code is claimed. SQLite takes a foreign key only with
the table, so polls_event, empty so far, is made again with its keys.
"""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


KEYS = [
    (
        "id, current_id",
        "polls_eventpoll (event_id, poll_id)",
        "event_current_is_its_own",
    ),
    ("join_code", "polls_joincode (code)", "event_has_claimed_its_code"),
]


def add_keys(apps, schema_editor):
    keys = [
        f"CONSTRAINT {name} FOREIGN KEY ({columns}) REFERENCES {target} "
        "DEFERRABLE INITIALLY DEFERRED"
        for columns, target, name in KEYS
    ]
    if schema_editor.connection.vendor == "postgresql":
        for key in keys:
            schema_editor.execute(f"ALTER TABLE polls_event ADD {key}")
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = 'polls_event' AND sql IS NOT NULL "
            "ORDER BY type = 'table' DESC"
        )
        create_table, *create_indexes = [row[0] for row in cursor.fetchall()]
    table = ", ".join([create_table.rstrip().removesuffix(")"), *keys])
    schema_editor.execute("DROP TABLE polls_event", params=None)
    schema_editor.execute(f"{table})", params=None)
    for create_index in create_indexes:
        schema_editor.execute(create_index, params=None)


def drop_keys(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for _, _, name in KEYS:
            schema_editor.execute(f"ALTER TABLE polls_event DROP CONSTRAINT {name}")


def claim_codes(apps, schema_editor):
    schema_editor.execute("INSERT INTO polls_joincode (code) SELECT join_code FROM polls_poll")


class Migration(migrations.Migration):
    dependencies = [
        ("polls", "0002_composite_foreign_keys"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="JoinCode",
            fields=[
                ("code", models.CharField(max_length=6, primary_key=True, serialize=False)),
            ],
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("join_code", models.CharField(editable=False, max_length=6, unique=True)),
                ("title", models.CharField(max_length=200)),
                ("seq", models.PositiveBigIntegerField(default=1)),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                (
                    "current",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="polls.poll",
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="events",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="EventPoll",
            fields=[
                (
                    "poll",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="event_place",
                        serialize=False,
                        to="polls.poll",
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                (
                    "event",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="places",
                        to="polls.event",
                    ),
                ),
            ],
            options={
                "ordering": ["position"],
            },
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["owner", "-created_at", "-id"], name="event_by_owner"),
        ),
        migrations.AddConstraint(
            model_name="event",
            constraint=models.CheckConstraint(
                condition=models.Q(("title", ""), _negated=True), name="event_has_a_title"
            ),
        ),
        migrations.AddConstraint(
            model_name="eventpoll",
            constraint=models.UniqueConstraint(
                fields=("event", "position"), name="event_position_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="eventpoll",
            constraint=models.UniqueConstraint(
                fields=("event", "poll"), name="event_poll_of_its_event"
            ),
        ),
        migrations.RunPython(add_keys, drop_keys),
        migrations.RunPython(claim_codes, migrations.RunPython.noop),
    ]
