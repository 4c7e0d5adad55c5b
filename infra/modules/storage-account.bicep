// A storage account that only identities reach, with its containers, tables and queues.

param name string
param location string
param tags { *: string }
param redundancy 'Standard_LRS' | 'Standard_ZRS' | 'Standard_GRS' | 'Standard_GZRS'
param containers string[]
param tables string[]
param queues string[]
param softDeleteDays int
param keepVersions bool
param privateNetwork bool

@description('Days in which no version of a blob can be changed or deleted. 0: none.')
param immutabilityDays int = 0

@description('Encrypt twice, the second time with keys of the infrastructure. Only when the account is made.')
param infrastructureEncryption bool = false

@description('URL of the key in a key vault that encrypts the account. Empty: Microsoft\'s keys.')
param encryptionKeyUrl string = ''

@description('Resource ID of the identity that may use the key.')
param encryptionKeyIdentityId string = ''

@description('Keep the account from being deleted.')
param deleteLock bool = false

var hasOwnKey = !empty(encryptionKeyUrl)
var keyUrl = split('${encryptionKeyUrl}//////', '/') // https: / / vault / keys / name / version
var keyScope = { enabled: true, keyType: hasOwnKey ? 'Account' : 'Service' }

var encryption = {
  requireInfrastructureEncryption: infrastructureEncryption
  keySource: hasOwnKey ? 'Microsoft.Keyvault' : 'Microsoft.Storage'
  identity: hasOwnKey ? { userAssignedIdentity: encryptionKeyIdentityId } : null
  keyvaultproperties: hasOwnKey
    ? { keyvaulturi: 'https://${keyUrl[2]}', keyname: keyUrl[4], keyversion: keyUrl[5] }
    : null
  services: {
    blob: { enabled: true, keyType: 'Account' }
    file: { enabled: true, keyType: 'Account' }
    queue: keyScope
    table: keyScope
  }
}

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: redundancy
  }
  identity: hasOwnKey
    ? { type: 'UserAssigned', userAssignedIdentities: { '${encryptionKeyIdentityId}': {} } }
    : { type: 'None' }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: privateNetwork ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: privateNetwork ? 'Deny' : 'Allow'
    }
    encryption: infrastructureEncryption || hasOwnKey ? encryption : null
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    isVersioningEnabled: keepVersions
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = [
  for containerName in containers: {
    parent: blobs
    name: containerName
    properties: {
      publicAccess: 'None'
      immutableStorageWithVersioning: immutabilityDays > 0 ? { enabled: true } : null
    }
  }
]

// Of versions: deleting a blob then makes its last state a version, which stays as long as the policy says.
resource immutability 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2025-06-01' = [
  for (containerName, index) in containers: if (immutabilityDays > 0) {
    parent: container[index]
    name: 'default'
    properties: {
      immutabilityPeriodSinceCreationInDays: immutabilityDays
    }
  }
]

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource table 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-06-01' = [
  for tableName in tables: {
    parent: tableService
    name: tableName
  }
]

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = [
  for queueName in queues: {
    parent: queueService
    name: queueName
  }
]

resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (deleteLock) {
  name: 'holds-the-archive'
  scope: account
  properties: {
    level: 'CanNotDelete'
    notes: 'Patients\' images. Remove this lock only to delete the archive.'
  }
}
