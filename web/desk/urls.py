"""The paths of the desk."""

from django.urls import path

from web.desk import actions, codes, events, members, polls, tokens

app_name = "desk"
urlpatterns = [
    path("", polls.polls, name="polls"),
    path("/shared", members.shared, name="shared"),
    path("/new", polls.new, name="new"),
    path("/polls/<uuid:poll_id>", polls.poll, name="poll"),
    path("/polls/<uuid:poll_id>/codes", codes.codes, name="codes"),
    path("/polls/<uuid:poll_id>/open", actions.open_now, name="open"),
    path("/polls/<uuid:poll_id>/schedule", actions.schedule, name="schedule"),
    path("/polls/<uuid:poll_id>/close", actions.close, name="close"),
    path("/polls/<uuid:poll_id>/reset", actions.reset, name="reset"),
    path("/polls/<uuid:poll_id>/duplicate", actions.duplicate, name="duplicate"),
    path("/polls/<uuid:poll_id>/delete", actions.delete, name="delete"),
    path("/polls/<uuid:poll_id>/members", members.add, name="member_add"),
    path("/polls/<uuid:poll_id>/members/remove", members.remove, name="member_remove"),
    path("/events", events.events, name="events"),
    path("/events/<uuid:event_id>", events.event, name="event"),
    path("/events/<uuid:event_id>/show", events.show, name="event_show"),
    path("/events/<uuid:event_id>/show-nothing", events.show_nothing, name="event_show_nothing"),
    path("/events/<uuid:event_id>/up", events.up, name="event_up"),
    path("/events/<uuid:event_id>/down", events.down, name="event_down"),
    path("/events/<uuid:event_id>/add", events.add, name="event_add"),
    path("/events/<uuid:event_id>/take-out", events.take_out, name="event_take_out"),
    path("/events/<uuid:event_id>/delete", events.delete, name="event_delete"),
    path("/tokens", tokens.tokens, name="tokens"),
    path("/tokens/<uuid:token_id>/revoke", tokens.revoke, name="revoke"),
]
