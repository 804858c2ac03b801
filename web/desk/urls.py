"""The paths of the desk."""

from django.urls import path

from web.desk import actions, polls, tokens

app_name = "desk"
urlpatterns = [
    path("", polls.polls, name="polls"),
    path("/new", polls.new, name="new"),
    path("/polls/<uuid:poll_id>", polls.poll, name="poll"),
    path("/polls/<uuid:poll_id>/open", actions.open_now, name="open"),
    path("/polls/<uuid:poll_id>/schedule", actions.schedule, name="schedule"),
    path("/polls/<uuid:poll_id>/close", actions.close, name="close"),
    path("/polls/<uuid:poll_id>/reset", actions.reset, name="reset"),
    path("/polls/<uuid:poll_id>/duplicate", actions.duplicate, name="duplicate"),
    path("/polls/<uuid:poll_id>/delete", actions.delete, name="delete"),
    path("/tokens", tokens.tokens, name="tokens"),
    path("/tokens/<uuid:token_id>/revoke", tokens.revoke, name="revoke"),
]
