"""The paths under /api/v1/."""

from django.urls import path

from polls.api import accounts, events, members, own_account, polls, service, votes

urlpatterns = [
    path("auth/register/", accounts.RegisterView.as_view()),
    path("auth/tokens/", accounts.TokensView.as_view()),
    path("auth/tokens/<uuid:token_id>/", accounts.TokenView.as_view()),
    path("auth/account/", own_account.AccountView.as_view()),
    path("polls/", polls.PollsView.as_view()),
    path("polls/shared/", members.SharedPollsView.as_view()),
    path("polls/<uuid:poll_id>/", polls.PollView.as_view()),
    path("polls/<uuid:poll_id>/open/", polls.OpenView.as_view()),
    path("polls/<uuid:poll_id>/close/", polls.CloseView.as_view()),
    path("polls/<uuid:poll_id>/reset/", polls.ResetView.as_view()),
    path("polls/<uuid:poll_id>/codes/", polls.CodesView.as_view()),
    path("polls/<uuid:poll_id>/votes/", votes.VotesView.as_view()),
    path("polls/<uuid:poll_id>/results/", polls.ResultsView.as_view()),
    path("polls/<uuid:poll_id>/timeline/", polls.TimelineView.as_view()),
    path("polls/<uuid:poll_id>/integrity/", polls.IntegrityView.as_view()),
    path("polls/<uuid:poll_id>/members/", members.MembersView.as_view()),
    path("polls/<uuid:poll_id>/members/<str:username>/", members.MemberView.as_view()),
    path("events/", events.EventsView.as_view()),
    path("events/<uuid:event_id>/", events.EventView.as_view()),
    path("join/<str:code>/", polls.JoinView.as_view()),
    path("voters/", votes.VotersView.as_view()),
    path("live-tickets/", votes.TicketsView.as_view()),
    path("limits/", service.LimitsView.as_view()),
]
