/**
 * Certificates and requests for them, as bytes: the structures of X.509 and PKCS #10, and nothing about who may have one.
 * Keys and signatures are node:crypto's. The only importer of the ASN.1 library (docs/adr/0034-trust.md).
 * It takes 90 ms to load: for those who make certificates. Whom one speaks for is read without it (bearer.ts).
 */
import { createHash, createPublicKey, type KeyObject, sign, verify, type X509Certificate } from 'node:crypto'
import { CertificationRequest, CertificationRequestInfo } from '@peculiar/asn1-csr'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  id_kp_serverAuth,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509'
import { type Bearer, uriOf } from './bearer.ts'

export interface Making {
  /** For people. */
  readonly subject: string
  /** None for an authority. */
  readonly bearer?: Bearer
  readonly publicKey: KeyObject
  readonly serial: Uint8Array
  readonly notBefore: number
  readonly notAfter: number
  /** Who signs; none where it signs itself. */
  readonly issuer?: X509Certificate
  readonly signingKey: KeyObject
}

export const SERIAL_BYTES = 16
/** A request is a name and a key: a few hundred bytes. */
const REQUEST_MAX_CHARS = 4_096
const ED25519 = '1.3.101.112'
const COMMON_NAME = '2.5.4.3'
const WHOLE_SECOND_MS = 1_000

/** PEM. */
export function makeCertificate(making: Making): string {
  const { subject, bearer, publicKey, serial, issuer, signingKey } = making
  const spki = AsnConvert.parse(publicKey.export({ type: 'spki', format: 'der' }), SubjectPublicKeyInfo)
  const own = issuer === undefined
  const tbs = new TBSCertificate({
    version: Version.v3,
    serialNumber: bytes(positive(serial)),
    signature: new AlgorithmIdentifier({ algorithm: ED25519 }),
    issuer: own ? nameOf(subject) : AsnConvert.parse(issuer.raw, Certificate).tbsCertificate.subject,
    validity: new Validity({ notBefore: seconds(making.notBefore), notAfter: seconds(making.notAfter) }),
    subject: nameOf(subject),
    subjectPublicKeyInfo: spki,
    extensions: new Extensions([
      ...(own ? authorityExtensions() : bearerExtensions(bearer!)),
      extension(id_ce_subjectKeyIdentifier, false, new SubjectKeyIdentifier(bytes(keyId(publicKey)))),
      extension(
        id_ce_authorityKeyIdentifier,
        false,
        new AuthorityKeyIdentifier({
          keyIdentifier: new KeyIdentifier(bytes(keyId(issuer?.publicKey ?? publicKey))),
        }),
      ),
    ]),
  })
  const certificate = new Certificate({
    tbsCertificate: tbs,
    signatureAlgorithm: new AlgorithmIdentifier({ algorithm: ED25519 }),
    signatureValue: bytes(sign(null, Buffer.from(AsnConvert.serialize(tbs)), signingKey)),
  })
  return pem('CERTIFICATE', AsnConvert.serialize(certificate))
}

/** PEM. Whoever signs it for us decides on the name, so it has none. */
export function makeRequest(key: KeyObject): string {
  const info = new CertificationRequestInfo({
    subject: nameOf('quipu agent'),
    subjectPKInfo: AsnConvert.parse(
      createPublicKey(key).export({ type: 'spki', format: 'der' }),
      SubjectPublicKeyInfo,
    ),
  })
  const request = new CertificationRequest({
    certificationRequestInfo: info,
    signatureAlgorithm: new AlgorithmIdentifier({ algorithm: ED25519 }),
    signature: bytes(sign(null, Buffer.from(AsnConvert.serialize(info)), key)),
  })
  return pem('CERTIFICATE REQUEST', AsnConvert.serialize(request))
}

/**
 * The key of a request that proves to have been made with it; undefined for anything else. Names, attributes and
 * extensions that somebody put in are not looked at.
 */
export function keyOfRequest(text: string): KeyObject | undefined {
  if (text.length > REQUEST_MAX_CHARS) return undefined
  const found =
    /^\s*-----BEGIN CERTIFICATE REQUEST-----\s+([A-Za-z0-9+/=\s]+)-----END CERTIFICATE REQUEST-----\s*$/
  const body = found.exec(text)?.[1]
  if (body === undefined) return undefined
  try {
    const request = AsnConvert.parse(Buffer.from(body, 'base64'), CertificationRequest)
    const { certificationRequestInfo: info, certificationRequestInfoRaw: raw, signature } = request
    if (raw === undefined || request.signatureAlgorithm.algorithm !== ED25519) return undefined
    if (info.subjectPKInfo.algorithm.algorithm !== ED25519) return undefined
    const der = Buffer.from(AsnConvert.serialize(info.subjectPKInfo))
    const key = createPublicKey({ key: der, type: 'spki', format: 'der' })
    return verify(null, Buffer.from(raw), key, Buffer.from(signature)) ? key : undefined
  } catch {
    return undefined
  }
}

/** It signs certificates, and none of these may sign others. */
function authorityExtensions(): Extension[] {
  return [
    extension(id_ce_basicConstraints, true, new BasicConstraints({ cA: true, pathLenConstraint: 0 })),
    extension(id_ce_keyUsage, true, new KeyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign)),
  ]
}

/** An agent that listens serves, one that attaches is a client; the house is both, too. */
function bearerExtensions(bearer: Bearer): Extension[] {
  const names = [new GeneralName({ uniformResourceIdentifier: uriOf(bearer) })]
  return [
    extension(id_ce_basicConstraints, true, new BasicConstraints({ cA: false })),
    extension(id_ce_keyUsage, true, new KeyUsage(KeyUsageFlags.digitalSignature)),
    extension(id_ce_extKeyUsage, false, new ExtendedKeyUsage([id_kp_serverAuth, id_kp_clientAuth])),
    extension(id_ce_subjectAltName, false, new SubjectAlternativeName(names)),
  ]
}

function extension(extnID: string, critical: boolean, value: object): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) })
}

function nameOf(text: string): Name {
  const value = new AttributeValue({ utf8String: text })
  return new Name([new RelativeDistinguishedName([new AttributeTypeAndValue({ type: COMMON_NAME, value })])])
}

/** Of the key's own bits, as RFC 7093 has it: the left 160 of their SHA-256. */
function keyId(key: KeyObject): Buffer {
  const raw = Buffer.from(key.export({ format: 'jwk' }).x!, 'base64url')
  return createHash('sha256').update(raw).digest().subarray(0, 20)
}

/** Certificates know whole seconds. */
function seconds(at: number): Date {
  return new Date(Math.floor(at / WHOLE_SECOND_MS) * WHOLE_SECOND_MS)
}

/** An INTEGER whose first bit is set would be negative; one of zeros is not one. */
function positive(serial: Uint8Array): Uint8Array {
  const found = Uint8Array.from(serial)
  found[0] = (found[0]! & 0x7f) | 0x40
  return found
}

function bytes(data: Uint8Array): ArrayBuffer {
  return Uint8Array.from(data).buffer
}

function pem(label: string, der: ArrayBuffer): string {
  const lines = Buffer.from(der)
    .toString('base64')
    .match(/.{1,64}/g)!
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
