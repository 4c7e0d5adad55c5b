// What the app's identity may do: this and nothing else.

param identityName string
param hostAccountName string
param archiveAccountName string
param componentName string

var roles = {
  'Storage Blob Data Owner': 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  'Storage Blob Data Contributor': 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  'Storage Table Data Contributor': '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  'Storage Queue Data Contributor': '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  'Monitoring Metrics Publisher': '3913510d-42f4-4e42-8a64-420c390055eb'
}

// The host keeps its locks and the package in blobs, and its own diagnostic events in tables.
var hostRoles = [
  'Storage Blob Data Owner'
  'Storage Table Data Contributor'
]

var archiveRoles = [
  'Storage Blob Data Contributor'
  'Storage Table Data Contributor'
  'Storage Queue Data Contributor'
]

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource hostAccount 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: hostAccountName
}

resource archiveAccount 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: archiveAccountName
}

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

resource onHost 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in hostRoles: {
    name: guid(hostAccount.id, identity.id, role)
    scope: hostAccount
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
      principalId: identity.properties.principalId
      principalType: 'ServicePrincipal'
    }
  }
]

resource onArchive 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in archiveRoles: {
    name: guid(archiveAccount.id, identity.id, role)
    scope: archiveAccount
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
      principalId: identity.properties.principalId
      principalType: 'ServicePrincipal'
    }
  }
]

resource onTelemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(component.id, identity.id, 'Monitoring Metrics Publisher')
  scope: component
  properties: {
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles['Monitoring Metrics Publisher']
    )
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}
