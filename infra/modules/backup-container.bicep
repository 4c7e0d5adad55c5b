// The container of the backup, in an account that exists, and the app's right to write to it alone.

param accountName string
param container string

@description('The app\'s identity, by its name and where it is.')
param identityName string
param identityGroup resourceGroupName

type resourceGroupName = {
  subscriptionId: string
  name: string
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
  scope: resourceGroup(identityGroup.subscriptionId, identityGroup.name)
}

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
  name: guid(backup.id, identity.id)
  scope: backup
  properties: {
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
    )
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

output blobEndpoint string = account.properties.primaryEndpoints.blob
