// The container of the backup, in an account that exists, and the app's right to write to it alone.

param accountName string
param container string

@description('Object ID of the app\'s identity. It is in the name of the assignment, which outlives a deployment: Azure refuses to give it to another.')
param principalId string

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: accountName

  resource blobs 'blobServices' existing = {
    name: 'default'
  }
}

resource backup 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: account::blobs
  name: container
  properties: {
    publicAccess: 'None'
  }
}

// Storage Blob Data Contributor.
resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(backup.id, principalId)
  scope: backup
  properties: {
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
    )
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

output blobEndpoint string = account.properties.primaryEndpoints.blob
