//! Teams, their members and invitations, and what is left of them.

use actors::account::{Account, AccountKind, Plan};
use actors::activity::By;
use actors::id::{AccountId, InvitationId, MailId, UserId};
use actors::mail::{Mail, NewMail};
use actors::member::Invitation;
use actors::money::Credits;
use actors::permission::Role;
use actors::ports::people::{RemovalStore, TokenStore, UserRefusal, UserStore};
use actors::ports::teams::{
    ActivityStore, InvitationStore, MembershipStore, NewInvitation, TeamRefusal, TeamStore,
};
use actors::ports::{AccountStore, GenerationStore, IdSource, KeyStore};
use actors::user::{Email, Purpose, User};
use babysea::identity::{NewGrant, NewKey, add_credit, create_key};
use babysea::ids::SystemIds;
use futures_util::future::join_all;

use crate::people::{by_user, made, token};
use crate::support::{TestStore, at, by, credits};

on_both!(
    a_team_has_a_primary_owner_and_an_address_of_its_own,
    roles_change_downwards_only,
    members_leave_and_are_removed,
    a_team_is_handed_over_by_its_primary_owner_with_a_code,
    an_invitation_is_taken_up_once_by_whom_it_is_for,
    invitations_are_refused_for_good_reasons,
    two_who_are_invited_at_once_count_each_other,
    a_deleted_team_lets_nobody_in_and_is_emptied,
    who_owns_a_team_cannot_go,
);

struct Team {
    id: AccountId,
    primary: User,
    owner: User,
    member: User,
}

fn new_team(name: &str) -> Account {
    Account {
        id: AccountId(SystemIds.next()),
        name: name.to_owned(),
        kind: AccountKind::Team,
        plan: Plan::Free,
        email: None,
        balance: Credits::ZERO,
        failover_on_moderation: false,
        suspended_at: None,
        created_at: at(0),
    }
}

/// A team with somebody in each role.
async fn team(test: &TestStore) -> Team {
    let [primary, owner, member] = [
        made(test, "primary@example.com").await,
        made(test, "owner@example.com").await,
        made(test, "member@example.com").await,
    ];
    let account = new_team("Paper Lab");
    let (id, by) = (account.id, by_user(primary.id, 0));
    test.store.create_team(account, "paper-lab", primary.id, 5, by).await.unwrap().unwrap();
    for (user, role) in [(&owner, Role::Owner), (&member, Role::Member)] {
        let new = invitation(id, user.email.as_str(), role);
        let hash = new.token_hash.clone();
        test.store.invite(id, primary.id, vec![new], 100).await.unwrap().unwrap();
        let slug = test.store.accept_invitation(&hash, user.id, by_user(user.id, 1)).await;
        assert_eq!(slug.unwrap().unwrap(), "paper-lab");
    }
    Team { id, primary, owner, member }
}

fn invitation(account_id: AccountId, email: &str, role: Role) -> NewInvitation {
    let email = Email::parse(email).unwrap();
    let link = "https://sea.example/invitations/x".to_owned();
    let mail = Mail::Invitation {
        team: "Paper Lab".to_owned(),
        inviter: "primary".to_owned(),
        role: role.as_str().to_owned(),
        link,
    };
    let mail = NewMail {
        id: MailId(SystemIds.next()),
        account_id: Some(account_id),
        to: email.clone(),
        mail,
        at: at(0),
    };
    let invitation = Invitation {
        account_id,
        id: InvitationId(SystemIds.next()),
        email,
        role,
        created_at: at(0),
        expires_at: at(100),
    };
    NewInvitation {
        invitation,
        token_hash: format!("{:064x}", rand::random::<u128>()),
        mail,
        by: by(0),
    }
}

async fn roles(test: &TestStore, team: &Team) -> Vec<(String, &'static str)> {
    let members = test.store.list_members(team.id).await.unwrap();
    members.into_iter().map(|member| (member.name, member.role.as_str())).collect()
}

fn named(roles: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    roles.iter().map(|(name, role)| ((*name).to_owned(), *role)).collect()
}

async fn a_team_has_a_primary_owner_and_an_address_of_its_own(test: TestStore) {
    let team = team(&test).await;
    let everybody =
        named(&[("primary", "primary-owner"), ("owner", "owner"), ("member", "member")]);
    assert_eq!(roles(&test, &team).await, everybody);
    let memberships = test.store.list_memberships(team.primary.id).await.unwrap();
    let slugs: Vec<&str> = memberships.iter().map(|it| it.slug.as_str()).collect();
    assert_eq!(slugs, ["personal", "paper-lab"]);
    assert_eq!(memberships[1].account.balance, Credits::ZERO, "no welcome for teams");

    let (store, by) = (&test.store, by_user(team.owner.id, 1));
    let taken = store.create_team(new_team("Other"), "paper-lab", team.owner.id, 5, by).await;
    assert_eq!(taken.unwrap(), Err(TeamRefusal::SlugTaken));
    let many = store.create_team(new_team("Other"), "other", team.primary.id, 1, by).await;
    assert_eq!(many.unwrap(), Err(TeamRefusal::TooMany(1)));
    store.create_team(new_team("Other"), "other", team.owner.id, 5, by).await.unwrap().unwrap();
    let taken = store.change_team(team.id, "Paper Lab", "other", by_user(team.primary.id, 2)).await;
    assert_eq!(taken.unwrap(), Err(TeamRefusal::SlugTaken));
    let by = by_user(team.primary.id, 3);
    store.change_team(team.id, "Ink Lab", "ink-lab", by).await.unwrap().unwrap();
    let memberships = store.list_memberships(team.member.id).await.unwrap();
    assert_eq!(
        (memberships[1].slug.as_str(), memberships[1].account.name.as_str()),
        ("ink-lab", "Ink Lab")
    );
    test.finish().await;
}

async fn roles_change_downwards_only(test: TestStore) {
    let team = team(&test).await;
    let change = async |manager: &User, user: &User, role| {
        let by = by_user(manager.id, 2);
        test.store.change_role(team.id, manager.id, user.id, role, by).await.unwrap()
    };
    let Team { primary, owner, member, .. } = &team;
    for (manager, user, role) in [
        (member, owner, Role::Member),
        (member, member, Role::Owner),
        (owner, primary, Role::Member),
        (owner, owner, Role::Member),
        (owner, member, Role::PrimaryOwner),
        (primary, member, Role::PrimaryOwner),
        (primary, primary, Role::Member),
    ] {
        assert_eq!(change(manager, user, role).await, Err(TeamRefusal::NotAllowed));
    }
    assert_eq!(change(owner, member, Role::Member).await, Err(TeamRefusal::SameRole));
    let stranger = made(&test, "stranger@example.com").await;
    assert_eq!(change(&stranger, member, Role::Owner).await, Err(TeamRefusal::NotAllowed));
    assert_eq!(change(owner, &stranger, Role::Owner).await, Err(TeamRefusal::UnknownMember));
    change(owner, member, Role::Owner).await.unwrap();
    assert_eq!(change(owner, member, Role::Member).await, Err(TeamRefusal::NotAllowed), "equals");
    change(primary, owner, Role::Member).await.unwrap();
    let now = named(&[("primary", "primary-owner"), ("owner", "member"), ("member", "owner")]);
    assert_eq!(roles(&test, &team).await, now);
    let told = test.store.list_activities(team.id, None, 2).await.unwrap();
    let told: Vec<&str> = told.iter().map(|line| line.description.as_str()).collect();
    assert_eq!(
        told,
        [
            "owner@example.com is member instead of owner",
            "member@example.com is owner instead of member"
        ]
    );
    test.finish().await;
}

async fn members_leave_and_are_removed(test: TestStore) {
    let team = team(&test).await;
    let remove = async |manager: UserId, user: UserId| {
        let by = by_user(manager, 2);
        test.store.remove_member(team.id, manager, user, by).await.unwrap()
    };
    let [primary, owner, member] = [&team.primary, &team.owner, &team.member].map(|user| user.id);
    assert_eq!(remove(primary, primary).await, Err(TeamRefusal::NotAllowed), "cannot leave");
    assert_eq!(remove(owner, primary).await, Err(TeamRefusal::NotAllowed));
    assert_eq!(remove(member, owner).await, Err(TeamRefusal::NotAllowed));
    remove(owner, member).await.unwrap();
    assert_eq!(remove(owner, member).await, Err(TeamRefusal::UnknownMember));
    assert_eq!(remove(member, member).await, Err(TeamRefusal::NotAllowed), "is gone already");
    remove(owner, owner).await.unwrap();
    assert_eq!(roles(&test, &team).await, named(&[("primary", "primary-owner")]));
    assert_eq!(test.store.list_memberships(owner).await.unwrap().len(), 1);
    test.finish().await;
}

async fn a_team_is_handed_over_by_its_primary_owner_with_a_code(test: TestStore) {
    let team = team(&test).await;
    let code = token(&team.primary, Purpose::Transfer(team.id), 0);
    let hash = "c".repeat(64);
    test.store.create_token(code.clone(), &hash, 5, None, at(-60)).await.unwrap();
    let transfer = async |from: UserId, to: UserId, by: By| {
        test.store.transfer_team(team.id, from, to, code.id, by).await.unwrap()
    };
    let [primary, owner, member] = [&team.primary, &team.owner, &team.member].map(|user| user.id);
    let stranger = made(&test, "stranger@example.com").await.id;
    let now = by_user(primary, 3);
    assert_eq!(transfer(owner, member, now).await, Err(TeamRefusal::NotAllowed));
    assert_eq!(transfer(primary, primary, now).await, Err(TeamRefusal::NotAllowed));
    assert_eq!(transfer(primary, stranger, now).await, Err(TeamRefusal::UnknownMember));
    assert_eq!(transfer(primary, member, by_user(primary, 100)).await, Err(TeamRefusal::CodeSpent));
    transfer(primary, member, now).await.unwrap();
    let after = named(&[("member", "primary-owner"), ("primary", "owner"), ("owner", "owner")]);
    assert_eq!(roles(&test, &team).await, after);
    assert_eq!(transfer(primary, owner, now).await, Err(TeamRefusal::NotAllowed));
    test.finish().await;
}

async fn an_invitation_is_taken_up_once_by_whom_it_is_for(test: TestStore) {
    let team = team(&test).await;
    let (ada, bob) = (made(&test, "ada@example.com").await, made(&test, "bob@example.com").await);
    let new = invitation(team.id, "ada@example.com", Role::Member);
    let (id, hash) = (new.invitation.id, new.token_hash.clone());
    test.store.invite(team.id, team.member.id, vec![new.clone()], 100).await.unwrap().unwrap();
    let (found, name) = test.store.find_invitation_any_account(&hash).await.unwrap().unwrap();
    assert_eq!((found, name.as_str()), (new.invitation.clone(), "Paper Lab"));
    let accept = async |hash: &str, user: UserId, seconds| {
        test.store.accept_invitation(hash, user, by_user(user, seconds)).await.unwrap()
    };
    assert_eq!(accept(&hash, bob.id, 1).await, Err(TeamRefusal::OtherAddress));
    assert_eq!(accept(&hash, ada.id, 100).await, Err(TeamRefusal::Expired));

    let change = async |manager: UserId, role| {
        test.store.change_invitation(team.id, manager, id, role).await.unwrap()
    };
    assert_eq!(change(team.member.id, Role::Owner).await, Err(TeamRefusal::NotAllowed));
    assert_eq!(change(team.owner.id, Role::Member).await, Err(TeamRefusal::SameRole));
    assert_eq!(change(team.owner.id, Role::PrimaryOwner).await, Err(TeamRefusal::NotAllowed));
    change(team.owner.id, Role::Owner).await.unwrap();
    let mut renewed = invitation(team.id, "ada@example.com", Role::Member);
    renewed.invitation = Invitation { expires_at: at(300), ..new.invitation };
    let fresh = renewed.token_hash.clone();
    let refused = test.store.renew_invitation(team.member.id, renewed.clone()).await.unwrap();
    assert_eq!(refused, Err(TeamRefusal::NotAllowed));
    test.store.renew_invitation(team.owner.id, renewed).await.unwrap().unwrap();
    assert_eq!(accept(&hash, ada.id, 1).await, Err(TeamRefusal::UnknownInvitation), "an old link");
    assert_eq!(accept(&fresh, ada.id, 200).await.as_deref(), Ok("paper-lab"));
    assert_eq!(accept(&fresh, ada.id, 201).await, Err(TeamRefusal::UnknownInvitation));
    let joined = roles(&test, &team).await;
    assert!(joined.contains(&("ada".to_owned(), "owner")), "{joined:?}");
    assert_eq!(test.store.list_invitations(team.id).await.unwrap(), []);
    test.finish().await;
}

async fn invitations_are_refused_for_good_reasons(test: TestStore) {
    let team = team(&test).await;
    let invite = async |inviter: &User, list: Vec<NewInvitation>, places| {
        test.store.invite(team.id, inviter.id, list, places).await.unwrap()
    };
    let new = |email: &str, role| invitation(team.id, email, role);
    let refused = invite(&team.member, vec![new("a@b.c", Role::Owner)], 100).await;
    assert_eq!(refused, Err(TeamRefusal::NotAllowed), "above the own role");
    let refused = invite(&team.primary, vec![new("a@b.c", Role::PrimaryOwner)], 100).await;
    assert_eq!(refused, Err(TeamRefusal::NotAllowed));
    let stranger = made(&test, "stranger@example.com").await;
    let refused = invite(&stranger, vec![new("a@b.c", Role::Member)], 100).await;
    assert_eq!(refused, Err(TeamRefusal::NotAllowed));
    let both = vec![new("new@b.c", Role::Member), new("owner@example.com", Role::Member)];
    let refused = invite(&team.primary, both, 100).await;
    assert_eq!(refused, Err(TeamRefusal::AlreadyMember(team.owner.email.clone())));
    assert_eq!(test.store.list_invitations(team.id).await.unwrap(), [], "all or none");
    invite(&team.primary, vec![new("new@b.c", Role::Member)], 4).await.unwrap();
    let refused = invite(&team.primary, vec![new("new@b.c", Role::Member)], 100).await;
    assert_eq!(refused, Err(TeamRefusal::AlreadyInvited(Email::parse("new@b.c").unwrap())));
    let refused = invite(&team.primary, vec![new("one@b.c", Role::Member)], 4).await;
    assert_eq!(refused, Err(TeamRefusal::TooMany(4)));
    let id = test.store.list_invitations(team.id).await.unwrap()[0].id;
    let remove = async |manager: &User| {
        let by = by_user(manager.id, 3);
        test.store.remove_invitation(team.id, manager.id, id, by).await.unwrap()
    };
    assert_eq!(remove(&team.member).await, Err(TeamRefusal::NotAllowed));
    remove(&team.owner).await.unwrap();
    assert_eq!(remove(&team.owner).await, Err(TeamRefusal::UnknownInvitation));
    test.finish().await;
}

async fn two_who_are_invited_at_once_count_each_other(test: TestStore) {
    let team = team(&test).await;
    let racers = (0..8).map(|number| {
        let new = invitation(team.id, &format!("a{number}@b.c"), Role::Member);
        test.store.invite(team.id, team.primary.id, vec![new], 6)
    });
    let done = join_all(racers).await.into_iter().filter(|it| it.as_ref().unwrap().is_ok());
    assert_eq!(done.count(), 3, "beside three members");
    test.finish().await;
}

async fn a_deleted_team_lets_nobody_in_and_is_emptied(test: TestStore) {
    let team = team(&test).await;
    let store = &test.store;
    let grant = NewGrant {
        account_id: team.id,
        amount: credits("5"),
        key: "k".to_owned(),
        description: "d".to_owned(),
        reason: String::new(),
    };
    add_credit(&test.context, grant).await.unwrap();
    let key = create_key(&test.context, NewKey::full_access(team.id, "render farm")).await.unwrap();
    test.endpoint(team.id, &actors::webhook::EventName::DEFAULT).await;
    let generation = test.processing(team.id).await;
    let code = token(&team.primary, Purpose::AccountDeletion(team.id), 0);
    store.create_token(code.clone(), &"d".repeat(64), 5, None, at(-60)).await.unwrap();
    let refused = store.delete_team(team.id, team.owner.id, code.id, at(5)).await.unwrap();
    assert_eq!(refused, Err(TeamRefusal::NotAllowed));
    let late = store.delete_team(team.id, team.primary.id, code.id, at(100)).await.unwrap();
    assert_eq!(late, Err(TeamRefusal::CodeSpent));
    store.delete_team(team.id, team.primary.id, code.id, at(5)).await.unwrap().unwrap();
    assert_eq!(store.find_account(team.id).await.unwrap(), None);
    assert!(store.find_key_any_account(key.key.id).await.unwrap().is_none());
    assert_eq!(store.list_memberships(team.member.id).await.unwrap().len(), 1);
    let refused = create_key(&test.context, NewKey::full_access(team.id, "late")).await;
    assert!(refused.is_err(), "nothing new for what was deleted");

    assert_eq!(store.list_removals_any_account(at(4), 10).await.unwrap(), []);
    assert_eq!(store.list_removals_any_account(at(5), 10).await.unwrap(), [team.id]);
    store.finish_removal(team.id, at(6)).await.unwrap();
    assert_eq!(store.list_removals_any_account(at(9), 10).await.unwrap(), [team.id], "in flight");
    test.advance(&generation, vec![crate::support::completed(1)]).await.unwrap();
    store.delete(team.id, generation.id).await.unwrap().unwrap();
    store.finish_removal(team.id, at(7)).await.unwrap();
    assert_eq!(store.list_removals_any_account(at(9), 10).await.unwrap(), []);
    assert_eq!(store.list_activities(team.id, None, 10).await.unwrap(), []);
    assert_eq!(test.ledger(team.id).await.len(), 3, "the ledger stays");
    let by = by_user(team.owner.id, 8);
    let again = store.create_team(new_team("Heirs"), "paper-lab", team.owner.id, 5, by).await;
    again.unwrap().unwrap();
    test.finish().await;
}

async fn who_owns_a_team_cannot_go(test: TestStore) {
    let team = team(&test).await;
    let code = token(&team.primary, Purpose::UserDeletion, 0);
    test.store.create_token(code.clone(), &"e".repeat(64), 5, None, at(-60)).await.unwrap();
    let refused = test.store.delete_user(team.primary.id, code.id, at(1)).await.unwrap();
    assert_eq!(refused, Err(UserRefusal::OwnsTeams));
    assert!(test.store.find_user(team.primary.id).await.unwrap().is_some());
    test.finish().await;
}
