/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/machines/charts.test.ts > TAP > every state of the agent chart can be reached, and none acts > chart 1`] = `
invited ──agent.invited──▶ invited
rejoining ──agent.invited──▶ rejoining
rejoining ──agent.joined──▶ trusted
rejoining ──agent.renewed──▶ rejoining
revoked ──agent.invited──▶ invited
rejoining ──agent.revoked──▶ revoked
trusted ──agent.invited──▶ rejoining
trusted ──agent.renewed──▶ trusted
trusted ──agent.revoked──▶ revoked
invited ──agent.joined──▶ trusted
invited ──agent.revoked──▶ revoked
none ──agent.invited──▶ invited
`

exports[`test/machines/charts.test.ts > TAP > every state of the archive chart can be reached, and none acts > chart 1`] = `
keeping ──archive.sealed──▶ itself
keeping ──archive.trimmed──▶ itself
keeping ──archive.rewritten──▶ itself
`

exports[`test/machines/charts.test.ts > TAP > every state of the breaker chart can be reached, and none acts > chart 1`] = `
halfOpen ──breaker.healed──▶ closed
open ──breaker.probed──▶ halfOpen
breaker ──breaker.tripped──▶ open
`

exports[`test/machines/charts.test.ts > TAP > every state of the delivery chart can be reached, and none acts > chart 1`] = `
waiting ──delivery.retried──▶ due
due ──delivery.failed──▶ waiting
due ──delivery.delivered──▶ delivered
due ──delivery.abandoned──▶ abandoned
new ──delivery.ordered──▶ due
`

exports[`test/machines/charts.test.ts > TAP > every state of the forgetting chart can be reached, and none acts > chart 1`] = `
ordered ──forgetting.done──▶ done
new ──forgetting.ordered──▶ ordered
`

exports[`test/machines/charts.test.ts > TAP > every state of the model chart can be reached, and none acts > chart 1`] = `
known ──model.gone──▶ absent
model ──model.found──▶ known
model ──model.pulled──▶ itself
model ──model.created──▶ itself
model ──model.copied──▶ itself
model ──model.pushed──▶ itself
model ──model.deleted──▶ itself
model ──model.failed──▶ itself
`

exports[`test/machines/charts.test.ts > TAP > every state of the node chart can be reached, and none acts > chart 1`] = `
member.reach.down ──node.returned──▶ member.reach.up
member.reach.up ──node.lost──▶ member.reach.down
member.reach.joining ──node.joined──▶ member.reach.up
member.duty.empty ──node.resumed──▶ member.duty.active
member.duty.draining ──node.emptied──▶ member.duty.empty
member.duty.draining ──node.resumed──▶ member.duty.active
member.duty.active ──node.drained──▶ member.duty.draining
member.pace.throttled ──node.throttled──▶ member.pace.throttled
member.pace.throttled ──node.cooled──▶ member.pace.full
member.pace.throttled ──node.lost──▶ member.pace.full
member.pace.full ──node.throttled──▶ member.pace.throttled
member ──node.upgraded──▶ itself
member ──node.removed──▶ removed
member ──node.equipped──▶ itself
node ──node.registered──▶ member
`

exports[`test/machines/charts.test.ts > TAP > every state of the policy chart can be reached, and none acts > chart 1`] = `
inForce ──policy.cleared──▶ none
policy ──policy.set──▶ inForce
`

exports[`test/machines/charts.test.ts > TAP > every state of the refusals chart can be reached, and none acts > chart 1`] = `
counting ──refusals.counted──▶ counting
`

exports[`test/machines/charts.test.ts > TAP > every state of the replica chart can be reached, and none acts > chart 1`] = `
resident ──replica.loading──▶ loading
resident ──replica.unloaded──▶ present
loading ──replica.loaded──▶ resident
loading ──replica.failed──▶ present
present ──replica.loading──▶ loading
present ──replica.loaded──▶ resident
absent ──replica.found──▶ present
replica ──replica.found──▶ itself
replica ──replica.removed──▶ absent
`

exports[`test/machines/charts.test.ts > TAP > every state of the request chart can be reached, and none acts > chart 1`] = `
answering ──request.completed──▶ completed
answering ──request.retried──▶ queued
answering ──request.late──▶ answering
answering ──request.failed──▶ failed
answering ──request.abandoned──▶ abandoned
answering ──request.cancelled──▶ cancelled
running ──request.begun──▶ answering
running ──request.retried──▶ queued
running ──request.late──▶ running
running ──request.failed──▶ failed
running ──request.abandoned──▶ abandoned
running ──request.cancelled──▶ cancelled
queued ──request.assigned──▶ running
leased ──request.extended──▶ leased
leased ──request.completed──▶ completed
leased ──request.retried──▶ queued
leased ──request.late──▶ leased
leased ──request.failed──▶ failed
leased ──request.abandoned──▶ abandoned
leased ──request.cancelled──▶ cancelled
queued ──request.leased──▶ leased
queued ──request.late──▶ queued
queued ──request.expired──▶ expired
queued ──request.failed──▶ failed
queued ──request.abandoned──▶ abandoned
queued ──request.cancelled──▶ cancelled
new ──request.admitted──▶ queued
new ──request.late──▶ forgotten
`

exports[`test/machines/charts.test.ts > TAP > every state of the scrub chart can be reached, and none acts > chart 1`] = `
scrub ──scrub.damaged──▶ damaged
`

exports[`test/machines/charts.test.ts > TAP > every state of the setting chart can be reached, and none acts > chart 1`] = `
set ──setting.reset──▶ unset
setting ──setting.set──▶ set
`

exports[`test/machines/charts.test.ts > TAP > every state of the signer chart can be reached, and none acts > chart 1`] = `
signing ──signer.rotated──▶ signing
none ──signer.created──▶ signing
`

exports[`test/machines/charts.test.ts > TAP > every state of the spool chart can be reached, and none acts > chart 1`] = `
kept ──spool.erased──▶ erased
`

exports[`test/machines/charts.test.ts > TAP > every state of the subscription chart can be reached, and none acts > chart 1`] = `
parked ──subscription.resumed──▶ active
parked ──subscription.deleted──▶ deleted
active ──subscription.parked──▶ parked
active ──subscription.deleted──▶ deleted
new ──subscription.created──▶ active
`

exports[`test/machines/charts.test.ts > TAP > every state of the transfer chart can be reached, and none acts > chart 1`] = `
open.resting ──transfer.retried──▶ open.waiting
open.running ──transfer.failed──▶ open.resting
open.waiting ──transfer.begun──▶ open.running
open ──transfer.raised──▶ itself
open ──transfer.completed──▶ none
open ──transfer.cancelled──▶ none
abandoned ──transfer.ordered──▶ open
open ──transfer.abandoned──▶ abandoned
none ──transfer.ordered──▶ open
`
