// Members of a team, its settings, and what somebody sees and changes of oneself.

import assert from "node:assert/strict";

import { PHONE, inspect, story, toast } from "../support/browser.mjs";

const MEMBERS = "/home/paper-lab/members";

story("whoever is not signed in is led to the sign-in and back", null, async (page) => {
  await page.goto(MEMBERS);
  assert.equal(new URL(page.url()).pathname, "/sign-in");
  await inspect(page, "sign-in");
  await page.getByLabel("Email").fill("ada@example.com");
  await page.getByLabel("Password").fill("not the password");
  await page.keyboard.press("Enter");
  await page.getByText("The address or the password is wrong.").waitFor();
  assert.equal(await page.getByLabel("Email").inputValue(), "ada@example.com");
  await page.getByRole("link", { name: "Forgot your password?" }).click();
  await page.getByRole("heading", { name: "Reset password" }).waitFor();
  await inspect(page, "password-reset");
});

story("an owner invites people, five at most and each once", "ben", async (page) => {
  await page.goto(MEMBERS);
  await inspect(page, "members");
  await page.getByRole("link", { name: "Invite members" }).click();
  const dialog = page.getByRole("dialog", { name: "Invite members" });
  await inspect(page, "members-invite");
  const add = dialog.getByRole("button", { name: "Add another one" });
  for (let rows = 1; rows < 5; rows += 1) await add.click();
  assert.equal(await add.isDisabled(), true);
  await dialog.getByLabel("Email 1").fill("eve@example.com");
  await dialog.getByLabel("Email 2").fill("EVE@example.com");
  await dialog.getByRole("button", { name: "Send invites" }).click();
  await dialog.getByText("Must not name eve@example.com twice.").waitFor();
  await dialog.getByLabel("Email 2").fill("fay@example.com");
  await dialog.getByLabel("Role 2").selectOption("owner");
  await dialog.getByRole("button", { name: "Send invites" }).click();
  await toast(page, "2 invitations sent");
  const row = page.getByRole("row", { name: /eve@example\.com/ });
  await row.getByText("Active").waitFor();
  await page.getByLabel("Search invitations").fill("fay");
  await row.waitFor({ state: "detached" });

  await page.goto(MEMBERS);
  await page.getByRole("button", { name: "Actions for fay@example.com" }).click();
  await page.getByRole("link", { name: "Remove invitation" }).click();
  await page.getByRole("button", { name: "Remove invitation" }).click();
  await toast(page, "Invitation removed");
});

story("a role is changed from the keyboard", "ada", async (page) => {
  await page.goto(MEMBERS);
  const menu = page.getByRole("button", { name: "Actions for Cleo Patra" });
  await menu.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: "Update Role" }).focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Update member's role" });
  await dialog.getByLabel("Role").waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Actions for Ben Nevis" }).click();
  await page.getByRole("link", { name: "Transfer ownership" }).click();
  await page.getByRole("dialog", { name: "Transfer ownership" }).getByText("We send you a code").waitFor();
});

story("a member looks on, may invite, and may leave", "cleo", async (page) => {
  await page.goto(MEMBERS);
  assert.equal(await page.getByRole("button", { name: /^Actions for/ }).count(), 0);
  await page.getByRole("link", { name: "Invite members" }).waitFor();
  await page.goto("/home/paper-lab/settings");
  assert.equal(await page.getByLabel("Team name").isDisabled(), true);
  await inspect(page, "settings-member");
  await page.getByRole("link", { name: "Leave team" }).click();
  await page.getByRole("dialog", { name: "Leave team?" }).waitFor();
});

story("the primary owner changes the name of a team", "ada", async (page) => {
  await page.goto("/home/empty-lab/settings");
  await inspect(page, "settings");
  await page.getByLabel("Team URL").fill("paper-lab");
  await page.getByRole("button", { name: "Update team" }).click();
  await page.getByText("This address is taken.").waitFor();
  await page.getByRole("link", { name: "Delete team account" }).click();
  await page.getByRole("dialog", { name: "Delete team account" }).getByText("We send you a code").waitFor();
});

story("somebody looks after what is theirs, on a phone", "ada", async (page) => {
  await page.setViewportSize(PHONE);
  await page.goto("/home/settings");
  await inspect(page, "profile");
  await page.getByText("This browser").waitFor();
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download my data" }).click();
  assert.match((await download).suggestedFilename(), /^babysea-data-export-\d{4}-\d\d-\d\d\.json$/);
});

story("a team is made", "ada", async (page) => {
  await page.goto("/home/teams");
  await inspect(page, "team-new");
  await page.getByLabel("Team name").fill("Ink Lab");
  await page.getByRole("button", { name: "Create team" }).click();
  await toast(page, "Team created");
  assert.equal(new URL(page.url()).pathname, "/home/ink-lab/members");
});
