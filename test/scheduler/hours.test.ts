import t from 'tap'
import { within } from '../../src/scheduler/hours.ts'

/** By the clock on this machine's wall, wherever it is thought to stand. */
function at(zone: string, text: string): number {
  process.env.TZ = zone
  return new Date(text).getTime()
}

const zone = process.env.TZ
t.teardown(() => {
  if (zone === undefined) delete process.env.TZ
  else process.env.TZ = zone
})

t.test('a window has its first minute, and not its last', async t => {
  for (const [hours, time, wanted] of [
    ['09:00-17:00', '08:59:59', false],
    ['09:00-17:00', '09:00:00', true],
    ['09:00-17:00', '16:59:59', true],
    ['09:00-17:00', '17:00:00', false],
    ['18:00-08:00', '17:59:59', false],
    ['18:00-08:00', '18:00:00', true],
    ['18:00-08:00', '00:00:00', true],
    ['18:00-08:00', '07:59:59', true],
    ['18:00-08:00', '08:00:00', false],
    ['00:00-24:00', '23:59:59', true],
    ['08:00-12:00+13:00-17:00', '12:30:00', false],
    ['08:00-12:00+13:00-17:00', '13:00:00', true],
    ['', '03:00:00', true],
  ] as const)
    t.equal(within(hours, at('UTC', `2026-06-10T${time}`)), wanted, `${hours} at ${time}`)
})

t.test('a window over midnight belongs to the day it begins on', async t => {
  // 2026-06-12 is a Friday.
  for (const [hours, day, wanted] of [
    ['mon-fri@18:00-08:00', '2026-06-12T19:00', true],
    ['mon-fri@18:00-08:00', '2026-06-13T07:00', true],
    ['mon-fri@18:00-08:00', '2026-06-13T19:00', false],
    ['mon-fri@18:00-08:00', '2026-06-14T07:00', false],
    ['mon-fri@18:00-08:00', '2026-06-15T07:00', false],
    ['mon-fri@18:00-08:00+sat-sun', '2026-06-13T12:00', true],
    ['sat-sun', '2026-06-12T23:59', false],
    ['sat-sun', '2026-06-13T00:00', true],
    ['sat-sun', '2026-06-14T23:59', true],
    ['sat-sun', '2026-06-15T00:00', false],
    ['sun@22:00-02:00', '2026-06-15T01:00', true],
  ] as const)
    t.equal(within(hours, at('UTC', day)), wanted, `${hours} on ${day}`)
})

t.test('the clock on the wall counts, wherever it hangs and whichever way it is put', async t => {
  const noon = Date.UTC(2026, 5, 10, 12)
  for (const [zone, wanted] of [
    ['UTC', false],
    ['America/New_York', true], // 08:00 there
    ['Asia/Kolkata', false],
  ] as const) {
    process.env.TZ = zone
    t.equal(within('06:00-09:00', noon), wanted, zone)
  }
  process.env.TZ = 'Europe/Berlin'
  const [spring, autumn] = [Date.UTC(2026, 2, 29), Date.UTC(2026, 9, 25)]
  const hour = 3_600_000
  const wantedHours = (hours: string, midnight: number): number[] =>
    Array.from({ length: 8 }, (_, i) => i).filter(i => within(hours, midnight + i * hour))
  // On 29 March two o'clock is three (01:00 UTC); on 25 October three o'clock is two again (01:00 UTC).
  t.same(wantedHours('18:00-08:00', spring), [0, 1, 2, 3, 4, 5], 'up to 08:00 of summer, 06:00 UTC')
  t.same(wantedHours('18:00-08:00', autumn), [0, 1, 2, 3, 4, 5, 6], 'up to 08:00 of winter, 07:00 UTC')
  t.same(wantedHours('02:00-03:00', spring), [], 'there is no such hour')
  t.same(wantedHours('02:00-03:00', autumn), [0, 1], 'there it is twice')
  t.same(wantedHours('sun@02:00-04:00', spring), [1])
})
