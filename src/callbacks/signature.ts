/**
 * What a receiver checks to know that the house has called, and when: an HMAC over the time and the body. With the time
 * in it, a call that somebody overheard cannot be played again for long.
 */
import { createHmac } from 'node:crypto'

/** `t=<seconds since the epoch>,v1=<hex of HMAC-SHA256(secret, t + "." + body)>` */
export function signature(secret: string, body: string, at: number): string {
  const t = Math.floor(at / 1_000)
  return `t=${t},v1=${createHmac('sha256', secret).update(`${t}.${body}`).digest('hex')}`
}
