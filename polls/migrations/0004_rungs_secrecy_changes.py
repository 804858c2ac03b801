"""Network caps, voting codes, secret polls, and votes that are changed or withdrawn.

What is added to tables with hand-written keys is nullable, so that SQLite does not rebuild them.
"""

import django.db.models.deletion
from django.db import migrations, models


def of_poll(**more):
    return models.ForeignKey(
        db_index=False,
        related_name="+",
        to="polls.poll",
        **{"db_constraint": False, "on_delete": django.db.models.deletion.DO_NOTHING, **more},
    )


def key_of(*names):
    return models.CompositePrimaryKey(
        "poll_id", *names, blank=True, editable=False, primary_key=True, serialize=False
    )


class Migration(migrations.Migration):
    dependencies = [("polls", "0003_events")]

    operations = [
        migrations.AddField(
            model_name="poll",
            name="network_cap",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="poll",
            name="shuffled_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="participation",
            name="change_hashes",
            field=models.BinaryField(null=True),
        ),
        migrations.AddField(
            model_name="participation",
            name="counted_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="pollkey",
            name="code_key",
            field=models.BinaryField(max_length=32, null=True),
        ),
        migrations.AddField(
            model_name="liveticket",
            name="code_voters",
            field=models.JSONField(db_default={}, default=dict),
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="ballot", name="id", field=models.UUIDField(editable=False)
                )
            ]
        ),
        migrations.CreateModel(
            name="BallotBucket",
            fields=[
                ("pk", key_of("at")),
                ("at", models.DateTimeField()),
                ("ballots", models.PositiveBigIntegerField(default=0)),
                ("poll", of_poll()),
            ],
        ),
        migrations.CreateModel(
            name="NetworkCount",
            fields=[
                ("pk", key_of("network")),
                ("network", models.BinaryField(max_length=32)),
                ("n", models.PositiveIntegerField()),
                ("cap", models.PositiveIntegerField()),
                ("poll", of_poll()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("n__lte", models.F("cap"))),
                        name="network_within_its_cap",
                    )
                ]
            },
        ),
        migrations.CreateModel(
            name="VotingCode",
            fields=[
                ("pk", key_of("code_hash")),
                ("code_hash", models.BinaryField(max_length=32)),
                (
                    "poll",
                    of_poll(db_constraint=True, on_delete=django.db.models.deletion.CASCADE),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="poll",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("network_cap", None),
                    models.Q(("identity", "device"), ("network_cap__gte", 1)),
                    _connector="OR",
                ),
                name="poll_network_cap_is_of_devices",
            ),
        ),
        migrations.AddConstraint(
            model_name="poll",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("shuffled_at", None),
                    models.Q(("secrecy", "secret"), ("status", "closed")),
                    _connector="OR",
                ),
                name="poll_shuffled_is_closed",
            ),
        ),
        migrations.AddConstraint(
            model_name="poll",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("certified_at", None),
                    ("shuffled_at__isnull", False),
                    models.Q(("secrecy", "secret"), _negated=True),
                    _connector="OR",
                ),
                name="poll_secret_is_shuffled_first",
            ),
        ),
    ]
