"""When a poll's key was destroyed, and which polls wait for that, or to be deleted for their age.

All of it is added in place: neither database makes polls_poll anew for it.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("polls", "0005_members")]

    operations = [
        migrations.AddField(
            model_name="poll",
            name="key_destroyed_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name="poll",
            index=models.Index(
                condition=models.Q(
                    ("certified_at__isnull", False),
                    ("deleted_at", None),
                    ("key_destroyed_at", None),
                ),
                fields=["closed_at"],
                name="poll_key_to_destroy",
            ),
        ),
        migrations.AddIndex(
            model_name="poll",
            index=models.Index(
                condition=models.Q(("closed_at__isnull", False), ("deleted_at", None)),
                fields=["closed_at"],
                name="poll_to_expire",
            ),
        ),
    ]
