import t from 'tap'
import { newToken, readToken, tokenHash } from '../../src/pki/token.ts'

const authority = Buffer.alloc(32, 7).toString('base64url')

t.test('a token is a secret, and the authority it is worth something to', async t => {
  const tokens = Array.from({ length: 100 }, () => newToken(authority))
  t.equal(new Set(tokens.map(({ text }) => text.slice(0, 27))).size, 100)
  for (const { text } of tokens) {
    t.match(text, /^quipu-[A-Za-z0-9_-]{64}$/)
    t.same(readToken(`  ${text}\n`), { text, authority })
    t.notOk(tokenHash(text).includes(text.slice(6, 16)))
  }
})

t.test('what is no token is not read as one', async t => {
  const { text } = newToken(authority)
  const short = text.slice(0, -1)
  for (const odd of ['', 'quipu-', short, `${text}A`, text.slice(6), text.replace('-', '_'), `${short}=`]) {
    t.equal(readToken(odd), undefined, odd)
  }
})
