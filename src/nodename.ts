/** What a node may be called. It stands in addresses, in certificates and in the journal. */
export const nodeNamePattern = /^[A-Za-z0-9][A-Za-z0-9._:[\]-]{0,62}$/
